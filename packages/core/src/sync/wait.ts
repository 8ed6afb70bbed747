/**
 * Wait: a promise that ends by its event, by a time limit or by an abort signal.
 *
 * Whichever comes first wins and the other two are let go, so that no timer and no listener stays
 * behind. Limits are virtual time: a wait cannot time out while the platform's clock stands still.
 */
import { PeerbufError } from "../error.ts";
import type { Clock, ScheduledEvent } from "./clock.ts";

export interface WaitOptions {
  /** Ends the wait with `WAIT_INTERRUPTED` (EINTR); its reason becomes the cause. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the wait with `WAIT_TIMED_OUT` (ETIME) after so many ns of the clock; 0 only looks. */
  readonly timeoutNs?: number | undefined;
  /** The waiter's name in reports. */
  readonly waiter?: string | undefined;
}

/** The refusal of a limit that is no time. Left out means no limit. */
export function timeoutRefusal({ timeoutNs }: WaitOptions): PeerbufError | undefined {
  return timeoutNs === undefined || timeoutNs >= 0
    ? undefined
    : new PeerbufError("ARGUMENT_INVALID", `a wait of ${timeoutNs} ns: 0 or more is possible`);
}

export class PendingWait<T> {
  readonly promise: Promise<T>;
  /** True from the start when the limit was 0 or the signal aborted before. */
  isSettled = false;
  private readonly giveUp: () => void;
  private readonly what: string;
  private readonly signal: AbortSignal | undefined;
  private timer: ScheduledEvent | undefined;
  private settle!: { resolve: (value: T) => void; reject: (reason: unknown) => void };

  /** `giveUp` takes the waiter out of its queue; it runs only when the wait ends without its event. */
  constructor(clock: Clock, options: WaitOptions, what: string, giveUp: () => void) {
    this.promise = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.giveUp = giveUp;
    this.what = what;
    this.signal = options.signal;
    this.arm(clock, options);
  }

  resolve(value: T): void {
    this.disarm();
    this.settle.resolve(value);
  }

  reject(reason: unknown): void {
    this.disarm();
    this.settle.reject(reason);
  }

  private arm(clock: Clock, { signal, timeoutNs = Number.POSITIVE_INFINITY }: WaitOptions): void {
    if (signal?.aborted) {
      this.interrupt();
    } else if (timeoutNs === 0) {
      this.timeOut(timeoutNs);
    } else {
      signal?.addEventListener("abort", this.interrupt, { once: true });
      if (timeoutNs !== Number.POSITIVE_INFINITY) {
        this.timer = clock.schedule(timeoutNs, () => this.timeOut(timeoutNs));
      }
    }
  }

  private disarm(): void {
    this.isSettled = true;
    this.timer?.cancel();
    this.signal?.removeEventListener("abort", this.interrupt);
  }

  private readonly interrupt = (): void => {
    this.giveUp();
    const cause: unknown = this.signal?.reason;
    this.reject(new PeerbufError("WAIT_INTERRUPTED", `interrupted: ${this.what}`, { cause }));
  };

  private timeOut(timeoutNs: number): void {
    this.giveUp();
    this.reject(new PeerbufError("WAIT_TIMED_OUT", `${this.what}: not within ${timeoutNs} ns`));
  }
}
