/**
 * Clock: the only source of time, handed in by the platform.
 *
 * The modelled machine implements it as virtual time that moves when its events run; a real kernel
 * implements it over the monotonic clock. Core has no default, so nothing can read real time by
 * accident and a run can be replayed.
 */

/** Something that was asked to happen later. */
export interface ScheduledEvent {
  /** Takes the event back. Does nothing when it has run or was cancelled before. */
  cancel(): void;
}

export interface Clock {
  /** Nanoseconds since the clock's own start; never goes back. */
  readonly nowNs: number;
  /**
   * Calls `run` once, `delayNs` (0 or more) from now, never inside this call. Events of one moment
   * run in the order in which they were scheduled.
   */
  schedule(delayNs: number, run: () => void): ScheduledEvent;
}
