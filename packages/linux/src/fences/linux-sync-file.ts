/**
 * Linux sync file: fences of the kernel as a descriptor: wait for it, merge it, pass it on.
 */
import { type Fence, type FenceError, PeerbufError, type SyncFileInfo } from "@peerbuf/core";
import { Descriptor } from "../sys/descriptor.ts";
import { POLL_IN, ready } from "../sys/poller.ts";
import type { ReadinessOptions } from "../sys/wait-limits.ts";
import { errorOf, followSyncFile, type KernelFence } from "./kernel-fence.ts";
import { merge, readInfo, readStatus, setDeadline } from "./sync-file-requests.ts";

export class LinuxSyncFile implements Disposable {
  readonly #descriptor: Descriptor;
  #followed: KernelFence | undefined;

  /** Takes the descriptor over; closes it when it is no sync_file (`SYSCALL_FAILED`, ENOTTY). */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
    try {
      readStatus(descriptor);
    } catch (error) {
      descriptor.close();
      throw error;
    }
  }

  /** By a descriptor that stays its owner's. */
  static fromFd(number: number): LinuxSyncFile {
    return new LinuxSyncFile(Descriptor.duplicateOf(number, `sync file ${number}`));
  }

  /** Stays this object's. `HANDLE_CLOSED` after `close`. */
  get descriptor(): Descriptor {
    this.#descriptor.number;
    return this.#descriptor;
  }

  get isOpen(): boolean {
    return this.#descriptor.isOpen;
  }

  /** 1 done, 0 active, a negative errno when the work failed. */
  get status(): number {
    return readStatus(this.descriptor);
  }

  /** As core's: for reservations, arrays and callbacks. Ends with ECANCELED if the file is closed first. */
  get fence(): Fence {
    this.#followed ??= followSyncFile(this.descriptor.duplicate());
    return this.#followed.fence;
  }

  info(): SyncFileInfo {
    return readInfo(this.descriptor);
  }

  /** Resolves when it is signaled, with the error if the work failed. Closing meanwhile does not end it. */
  async signaled(options?: ReadinessOptions): Promise<FenceError | undefined> {
    using copy = this.descriptor.duplicate();
    await ready(copy, POLL_IN, options);
    return errorOf(copy, readStatus(copy));
  }

  /** A new file that is signaled when both are. A name has at most 31 bytes. */
  merge(other: LinuxSyncFile, name: string): LinuxSyncFile {
    if (new TextEncoder().encode(name).length > 31) {
      throw new PeerbufError("ARGUMENT_INVALID", `the name "${name}" is longer than 31 bytes`);
    }
    return new LinuxSyncFile(merge(this.descriptor, other.descriptor, name));
  }

  /** A hint, in ns of the monotonic clock. ENOTTY before Linux 6.4. */
  setDeadline(deadlineNs: number): void {
    setDeadline(this.descriptor, deadlineNs);
  }

  /** `HANDLE_CLOSED` the second time. */
  close(): void {
    this.descriptor.close();
    this.#followed?.close();
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }
}
