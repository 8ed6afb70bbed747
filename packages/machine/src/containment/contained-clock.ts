/**
 * Contained clock: time for a device model whose events may throw.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";
import type { Containment } from "./containment.ts";

export class ContainedClock implements Clock {
  readonly #inner: () => Clock;
  readonly #containment: Containment;

  /** `inner`: asked each time, since what is plugged in before the link may change. */
  constructor(inner: () => Clock, containment: Containment) {
    this.#inner = inner;
    this.#containment = containment;
  }

  get nowNs(): number {
    return this.#inner().nowNs;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    return this.#inner().schedule(delayNs, this.#containment.event(run));
  }
}
