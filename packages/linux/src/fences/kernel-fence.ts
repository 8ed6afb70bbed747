/**
 * Kernel fence: the fence behind a sync_file, as core's `Fence`.
 *
 * The kernel signals it; we look (FILE_INFO) when somebody polls and watch the descriptor, in the event
 * loop, once somebody waits. So it goes where every other fence goes: reservations, arrays, awaits.
 */
import { type Fence, FenceDomain, FenceError, SoftwareFence } from "@peerbuf/core";
import { MonotonicClock } from "../clock.ts";
import type { Descriptor } from "../sys/descriptor.ts";
import { POLL_IN, watch } from "../sys/poller.ts";
import type { Watching } from "../sys/wait-limits.ts";
import { type FileInfo, readInfo, readStatus, setDeadline } from "./sync-file-requests.ts";

/** Timelines of this process's kernel fences; the kernel's own context ids are not shown to us. */
export const kernelFences: FenceDomain = new FenceDomain(new MonotonicClock());

/** A fence that follows a sync_file for as long as `close` is not called. */
export interface KernelFence {
  readonly fence: Fence;
  /** Ends an unsignaled fence with ECANCELED and lets the descriptor go; does nothing a second time. */
  close(): void;
}

/** The error that a status tells of. */
export const errorOf = ({ what }: Descriptor, status: number): FenceError | undefined =>
  status < 0 ? new FenceError(-status, `${what} ended with an error`) : undefined;

/** Takes the descriptor over, also when it throws. */
export function followSyncFile(file: Descriptor): KernelFence {
  try {
    return follow(file, readInfo(file));
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

function follow(file: Descriptor, { fences }: FileInfo): KernelFence {
  const single = fences.length === 1 ? fences[0] : undefined;
  let watching: Watching | undefined;
  const learn = (fence: SoftwareFence): boolean => {
    const status = fence.isSignaled || !file.isOpen ? 0 : readStatus(file);
    const error = errorOf(file, status);
    if (error !== undefined) {
      fence.setError(error);
    }
    return status !== 0;
  };
  const context = kernelFences.createContext({
    driverName: single?.driverName ?? "sync_file",
    timelineName: single?.timelineName ?? `${fences.length} fences`,
    operations: {
      signaled: (fence) => learn(fence as SoftwareFence),
      enableSignaling(fence) {
        const software = fence as SoftwareFence;
        watching = watch(file, POLL_IN, () => {
          learn(software);
          software.signal();
        });
        return true;
      },
      setDeadline: (_, deadlineNs) => setDeadline(file, deadlineNs),
    },
  });
  const fence = new SoftwareFence(context, 1);
  return {
    fence,
    close() {
      watching?.stop();
      if (!fence.isSignaled) {
        fence.setError(new FenceError("ECANCELED", `${file.what} was closed`));
        fence.signal();
      }
      file[Symbol.dispose]();
    },
  };
}
