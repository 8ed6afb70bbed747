/**
 * Fence: one piece of device work that is done or not done yet.
 *
 * It goes from unsignaled to signaled exactly once and never back (struct dma_fence, Linux 6.12,
 * include/linux/dma-fence.h). This file is what everybody waits on; who signals lives in
 * `software-fence.ts` for modelled devices, and in the Linux platform for sync_file descriptors.
 */
import type { FenceContext } from "./fence-context.ts";
import type { FenceError } from "./fence-error.ts";
import type { WaitOptions } from "./wait.ts";

/** Runs synchronously inside the signal. It must not wait; it may signal other fences. */
export type FenceCallback = (fence: Fence) => void;

/** Who waits: a name for reports, or something (a container) that stands for its own waiters. */
export type Waiter = string | { waiters(): readonly string[] };

export interface Fence {
  /** The timeline. Two fences can be ordered only when this is the very same object. */
  readonly context: FenceContext;
  /** The place on the timeline, 0 to 2^53 - 1. */
  readonly seqno: number;
  readonly driverName: string;
  readonly timelineName: string;
  /** True for arrays and chains, which reservations and arrays refuse: unwrap them first. */
  readonly isContainer: boolean;

  /** A plain read of the flag. May stay false for long when nobody enabled signaling; see `poll`. */
  readonly isSignaled: boolean;
  /** 0 active, 1 done, a negative Linux errno when the work failed. Failed work is signaled too. */
  readonly status: number;
  /** Why the work failed; undefined while active and when it went well. */
  readonly error: FenceError | undefined;
  /** When it was signaled, in ns of the platform's clock; 0 while active. */
  readonly timestampNs: number;

  /** Reads the flag, else asks the driver and signals at once when the work turns out to be done. */
  poll(): boolean;
  /** Asks the driver to see to it that the fence signals. The driver hears of it at most once. */
  enableSignaling(): void;
  /**
   * Queues a callback and enables signaling. Callbacks run in the order they were added, each
   * exactly once. `"signaled"` (Linux: ENOENT): it is done already, the callback will not run and
   * the caller acts by itself. A function that is already queued here is refused with
   * `ARGUMENT_INVALID`.
   */
  addCallback(callback: FenceCallback, waiter?: Waiter): "queued" | "signaled";
  /** True: taken back before it ran. False: it ran, is about to run, or was never queued. */
  removeCallback(callback: FenceCallback): boolean;
  /** The names of those who wait now, in order of arrival; a nameless one shows as `unnamed`. */
  waiters(): readonly string[];
  /** A hint that somebody wants it by then. The earliest counts; ignored once signaled. */
  setDeadline(deadlineNs: number): void;
  /**
   * Resolves when signaled, with the fence's error if the work failed: failed work is over as well,
   * so it never rejects. Rejects with `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED` (abort) or
   * `WAIT_IN_SIGNALLING`; a signaled fence wins over an elapsed limit and an aborted signal.
   */
  signaled(options?: WaitOptions): Promise<FenceError | undefined>;
}

/**
 * Is one fence later than the other on their timeline? False across timelines.
 * 32-bit timelines wrap: the low 32 bits are compared as a signed difference, so two numbers
 * exactly 2^31 apart are not later either way.
 */
export function isLater(fence: Fence, than: Fence): boolean {
  if (fence.context !== than.context) {
    return false;
  }
  const difference = fence.seqno - than.seqno;
  return (fence.context.seqnoBits === 64 ? difference : difference | 0) > 0;
}

/** The same object, or later. Two objects with one seqno are not the same. */
export function isLaterOrSame(fence: Fence, than: Fence): boolean {
  return fence === than || isLater(fence, than);
}

/** The later of two fences of one timeline; undefined when that one is signaled already. */
export function laterOf(one: Fence, other: Fence): Fence | undefined {
  const later = isLater(one, other) ? one : other;
  return later.poll() ? undefined : later;
}
