/**
 * Fence base: the one-shot state that every fence of ours shares.
 *
 * Signal once, callbacks in order and exactly once, a late callback refused, signaling enabled
 * lazily (Linux 6.12, drivers/dma-buf/dma-fence.c). Subclasses say who may signal and what enabling
 * means. The first callback needs no allocation; a promise is made only for who awaits.
 */
import { PeerbufError } from "../error.ts";
import { beginDelivery, deliver, endDelivery } from "./delivery.ts";
import type { Fence, FenceCallback, Waiter } from "./fence.ts";
import type { FenceContext } from "./fence-context.ts";
import type { FenceError } from "./fence-error.ts";
import { waitForFence } from "./fence-wait.ts";
import type { WaitOptions } from "./wait.ts";

/** What outside is read-only and changes here, once. */
type Outcome = {
  -readonly [Part in "isSignaled" | "status" | "error" | "timestampNs"]: Fence[Part];
};

export abstract class FenceBase implements Fence {
  readonly context: FenceContext;
  readonly seqno: number;
  readonly isSignaled: boolean = false;
  readonly status: number = 0;
  readonly error: FenceError | undefined = undefined;
  readonly timestampNs: number = 0;
  protected isEnabled = false;
  private firstCallback: FenceCallback | undefined = undefined;
  private firstWaiter: Waiter | undefined = undefined;
  /** The callbacks after the first, in order of arrival. */
  private laterCallbacks: Map<FenceCallback, Waiter | undefined> | undefined = undefined;

  constructor(context: FenceContext, seqno: number) {
    if (!Number.isSafeInteger(seqno) || seqno < 0) {
      throw new PeerbufError("ARGUMENT_INVALID", `seqno ${seqno} is not within 0 to 2^53 - 1`);
    }
    this.context = context;
    this.seqno = seqno;
  }

  /** False: already finished, signal at once. Called at most once, and never when signaled. */
  protected abstract beginSignaling(): boolean;
  /** True: the work turned out to be done. Never called when signaled. */
  protected abstract peek(): boolean;
  /** Called only while active. */
  abstract setDeadline(deadlineNs: number): void;

  get driverName(): string {
    return this.context.driverName;
  }

  get timelineName(): string {
    return this.context.timelineName;
  }

  get isContainer(): boolean {
    return false;
  }

  poll(): boolean {
    this.context.domain.observer?.looked(this);
    if (!this.isSignaled && this.peek()) {
      this.finish(this.pendingError());
    }
    return this.isSignaled;
  }

  enableSignaling(): void {
    if (!this.isEnabled && !this.isSignaled) {
      this.isEnabled = true;
      if (!this.beginSignaling()) {
        this.finish(this.pendingError());
      }
    }
  }

  addCallback(callback: FenceCallback, waiter?: Waiter): "queued" | "signaled" {
    this.context.domain.observer?.looked(this);
    this.enableSignaling();
    if (this.isSignaled) {
      return "signaled";
    }
    if (this.firstCallback === callback || this.laterCallbacks?.has(callback)) {
      throw new PeerbufError("ARGUMENT_INVALID", "this callback is queued on this fence already");
    }
    this.queue(callback, waiter);
    return "queued";
  }

  removeCallback(callback: FenceCallback): boolean {
    if (this.firstCallback === callback) {
      this.firstCallback = undefined;
      this.firstWaiter = undefined;
      return true;
    }
    return this.laterCallbacks?.delete(callback) ?? false;
  }

  waiters(): readonly string[] {
    const names: string[] = [];
    if (this.firstCallback !== undefined) {
      names.push(...namesOf(this.firstWaiter));
    }
    for (const waiter of this.laterCallbacks?.values() ?? []) {
      names.push(...namesOf(waiter));
    }
    return names;
  }

  signaled(options?: WaitOptions): Promise<FenceError | undefined> {
    return waitForFence(this, options);
  }

  /** The error to finish with when the fence itself finds out that it is done. */
  protected pendingError(): FenceError | undefined {
    return undefined;
  }

  /** Signals; false when it was signaled before, and then nothing else happens. */
  protected finish(error: FenceError | undefined, timestampNs?: number): boolean {
    if (this.isSignaled) {
      return false;
    }
    this.context.domain.observer?.signaled(this);
    settle(this, error, timestampNs ?? this.context.domain.clock.nowNs);
    if (this.firstCallback !== undefined || this.laterCallbacks !== undefined) {
      this.runCallbacks();
    }
    return true;
  }

  private queue(callback: FenceCallback, waiter: Waiter | undefined): void {
    if (this.firstCallback === undefined && !this.laterCallbacks?.size) {
      this.firstCallback = callback;
      this.firstWaiter = waiter;
    } else {
      this.laterCallbacks ??= new Map();
      this.laterCallbacks.set(callback, waiter);
    }
  }

  private runCallbacks(): void {
    const first = this.firstCallback;
    const later = this.laterCallbacks;
    this.firstCallback = undefined;
    this.firstWaiter = undefined;
    this.laterCallbacks = undefined;
    beginDelivery();
    if (first !== undefined) {
      deliver(first, this);
    }
    for (const callback of later?.keys() ?? []) {
      deliver(callback, this);
    }
    endDelivery();
  }
}

function settle(outcome: Outcome, error: FenceError | undefined, timestampNs: number): void {
  outcome.isSignaled = true;
  outcome.error = error;
  outcome.status = error === undefined ? 1 : error.status;
  outcome.timestampNs = timestampNs;
}

function namesOf(waiter: Waiter | undefined): readonly string[] {
  if (waiter === undefined) {
    return ["unnamed"];
  }
  return typeof waiter === "string" ? [waiter] : waiter.waiters();
}
