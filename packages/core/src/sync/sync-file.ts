/**
 * Sync file: a fence as a handle that can be passed on.
 *
 * Behaves like Linux's sync_file descriptor (drivers/dma-buf/sync_file.c, 6.12): duplicates share
 * one file, the last close lets go of the fence, and the file is readable once the fence is
 * signaled, with or without an error. Real descriptors live in the Linux platform.
 */
import { PeerbufError } from "../error.ts";
import type { Fence } from "./fence.ts";
import type { FenceError } from "./fence-error.ts";
import { mergeFences, unwrapFence } from "./fence-merge.ts";
import type { WaitOptions } from "./wait.ts";

/** struct sync_fence_info (include/uapi/linux/sync_file.h). */
export interface SyncFenceInfo {
  /** Called obj_name there. */
  readonly timelineName: string;
  readonly driverName: string;
  /** 1 done, 0 active, a negative errno when the work failed. */
  readonly status: number;
  /** 0 while active. */
  readonly timestampNs: number;
}

/** struct sync_file_info. */
export interface SyncFileInfo {
  readonly name: string;
  /** The first record's status that is not 1, else 1. */
  readonly status: number;
  readonly fences: readonly SyncFenceInfo[];
}

/** The name field has 32 bytes and ends with a zero. */
const NAME_BYTES_MAX = 31;

interface OpenFile {
  readonly fence: Fence;
  readonly userName: string;
  handleCount: number;
}

export class SyncFile {
  private file: OpenFile | undefined;

  private constructor(file: OpenFile) {
    this.file = file;
    file.handleCount++;
  }

  /** Publishes the fence: from here on it has to signal in finite time. */
  static create(fence: Fence): SyncFile {
    return SyncFile.named(fence, "");
  }

  private static named(fence: Fence, userName: string): SyncFile {
    fence.context.domain.publish(fence);
    return new SyncFile({ fence, userName, handleCount: 0 });
  }

  /** The fence, often an array. Every member but `isOpen` is `HANDLE_CLOSED` after `close`. */
  get fence(): Fence {
    return this.open().fence;
  }

  get isOpen(): boolean {
    return this.file !== undefined;
  }

  /** The name given to `merge`, else driver, timeline, context and seqno as Linux writes them. */
  get name(): string {
    const { fence, userName } = this.open();
    const place = `${fence.context.id}-${fence.seqno}`;
    return userName === "" ? `${fence.driverName}-${fence.timelineName}${place}` : userName;
  }

  /** The status of the whole: what SYNC_IOC_FILE_INFO tells when asked for no records. */
  get status(): number {
    const { fence } = this.open();
    fence.poll();
    return fence.status;
  }

  /** How many handles share the file. */
  get handleCount(): number {
    return this.open().handleCount;
  }

  /** Another handle on the same file; each is closed by itself. */
  duplicate(): SyncFile {
    return new SyncFile(this.open());
  }

  /** One record for each fence behind the file; what had signaled before a merge is not there. */
  info(): SyncFileInfo {
    const fences = unwrapFence(this.open().fence).map(recordOf);
    const notDone = fences.find((record) => record.status !== 1);
    return { name: this.name, status: notDone?.status ?? 1, fences };
  }

  /**
   * A new file that is signaled when both are; see `mergeFences`. A name has at most 31 bytes, none
   * gives the usual name. A closed `other` is `HANDLE_CLOSED` with ENOENT, as for a bad fd2.
   */
  merge(other: SyncFile, name: string): SyncFile {
    const { fence } = this.open();
    if (other.file === undefined) {
      const message = "the sync file to merge with is closed";
      throw new PeerbufError("HANDLE_CLOSED", message, { errno: "ENOENT" });
    }
    if (new TextEncoder().encode(name).length > NAME_BYTES_MAX) {
      const message = `sync file name "${name}" is longer than ${NAME_BYTES_MAX} bytes`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    return SyncFile.named(mergeFences(fence.context.domain, [fence, other.file.fence]), name);
  }

  /** Is the file readable? Enables signaling, as the first poll of a descriptor does. */
  poll(): boolean {
    const { fence } = this.open();
    fence.enableSignaling();
    return fence.poll();
  }

  /** See `Fence.signaled`. Closing the handle meanwhile does not end the wait. */
  async signaled(options?: WaitOptions): Promise<FenceError | undefined> {
    return this.open().fence.signaled(options);
  }

  setDeadline(deadlineNs: number): void {
    this.open().fence.setDeadline(deadlineNs);
  }

  /** `HANDLE_CLOSED` when this handle was closed before. */
  close(): void {
    this.open().handleCount--;
    this.file = undefined;
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }

  private open(): OpenFile {
    if (this.file === undefined) {
      throw new PeerbufError("HANDLE_CLOSED", "this sync file handle is closed");
    }
    return this.file;
  }
}

function recordOf(fence: Fence): SyncFenceInfo {
  fence.poll();
  const { driverName, timelineName, status, timestampNs } = fence;
  return { timelineName, driverName, status, timestampNs };
}
