/**
 * Software fence: a fence that its producer signals by a call.
 *
 * What drivers and device models make. Consumers get it as a `Fence`, which has no `signal`. The
 * producer owes a signal in finite time; letting go of it unsignaled is a driver bug and ends it
 * with EDEADLK, so that nobody hangs (dma_fence_release, Linux 6.12).
 */
import { PeerbufError } from "../error.ts";
import { FenceBase } from "./fence-base.ts";
import type { FenceDomain } from "./fence-context.ts";
import { FenceError } from "./fence-error.ts";

export class SoftwareFence extends FenceBase {
  /** The earliest wish so far, in ns of the clock; undefined when there was none. */
  deadlineNs: number | undefined = undefined;
  private failure: FenceError | undefined = undefined;

  /**
   * Completes the work. True the first time; false (Linux: EINVAL) when it was signaled before, and
   * then nothing happens. Callbacks run before it returns; when one throws, the rest are called
   * first and then `FENCE_CALLBACK_FAILED` is thrown.
   */
  signal(timestampNs?: number): boolean {
    return this.finish(this.failure, timestampNs);
  }

  /** Says that the work failed. Shows only once signaled; `FENCE_SIGNALED` when it is too late. */
  setError(error: FenceError): void {
    if (this.isSignaled) {
      const name = `${this.driverName} ${this.timelineName} ${this.seqno}`;
      throw new PeerbufError(
        "FENCE_SIGNALED",
        `${name}: an error can be set only before signaling`,
      );
    }
    this.failure = error;
  }

  override setDeadline(deadlineNs: number): void {
    if (!this.isSignaled && !(this.deadlineNs !== undefined && this.deadlineNs <= deadlineNs)) {
      this.deadlineNs = deadlineNs;
      this.context.operations.setDeadline?.(this, deadlineNs);
    }
  }

  /** The producer lets go: an unsignaled fence is signaled with EDEADLK. */
  [Symbol.dispose](): void {
    if (!this.isSignaled) {
      this.setError(new FenceError("EDEADLK", "its producer let go of it unsignaled"));
      this.signal();
    }
  }

  protected override pendingError(): FenceError | undefined {
    return this.failure;
  }

  protected override beginSignaling(): boolean {
    return this.context.operations.enableSignaling?.(this) ?? true;
  }

  protected override peek(): boolean {
    return this.context.operations.signaled?.(this) ?? false;
  }
}

/**
 * A fence that is always signaled: context 0, seqno 0, names "stub". Stands for "nothing to wait
 * for". With a time it is the private stub that tells when the last of several works ended.
 */
export function stubFence(
  domain: FenceDomain,
  timestampNs: number = domain.clock.nowNs,
): SoftwareFence {
  const stub = new SoftwareFence(domain.stubContext, 0);
  stub.signal(timestampNs);
  return stub;
}
