/**
 * Clock: the kernel's monotonic time, which the timestamps of fences are in as well (CLOCK_MONOTONIC).
 *
 * Events come from Node's timers: never early, late by a millisecond or more, as a busy event loop is.
 */
import { type Clock, PeerbufError, type ScheduledEvent } from "@peerbuf/core";

const NS_PER_MS = 1e6;
/** What setTimeout takes; longer delays go in several steps. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class MonotonicClock implements Clock {
  get nowNs(): number {
    return Number(process.hrtime.bigint());
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    if (!(delayNs >= 0 && Number.isFinite(delayNs))) {
      throw new PeerbufError("ARGUMENT_INVALID", `an event cannot be ${delayNs} ns from now`);
    }
    let timer: NodeJS.Timeout | undefined;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, TIMER_MS_MAX);
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : run()), stepMs);
    };
    arm(Math.ceil(delayNs / NS_PER_MS));
    return { cancel: () => clearTimeout(timer) };
  }
}
