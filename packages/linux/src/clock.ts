/**
 * Clock: the kernel's monotonic time, which the timestamps of fences are in as well (CLOCK_MONOTONIC).
 *
 * Events come from Node's timers: never early, late by a millisecond or more, as a busy event loop is.
 */
import { type Clock, PeerbufError, type ScheduledEvent } from "@peerbuf/core";

const NS_PER_MS = 1e6;
/** What setTimeout takes; longer delays go in several steps. */
const TIMER_MS_MAX = 2 ** 31 - 1;

interface QueuedEvent {
  readonly dueNs: number;
  readonly run: () => void;
}

export class MonotonicClock implements Clock {
  /** In the order in which they run. */
  readonly #events: QueuedEvent[] = [];
  #armed: { disarm(): void } | undefined;

  get nowNs(): number {
    return Number(process.hrtime.bigint());
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    if (!(delayNs >= 0 && Number.isFinite(delayNs))) {
      throw new PeerbufError("ARGUMENT_INVALID", `an event cannot be ${delayNs} ns from now`);
    }
    const event = { dueNs: this.nowNs + delayNs, run };
    const later = this.#events.findIndex(({ dueNs }) => dueNs > event.dueNs);
    const place = later < 0 ? this.#events.length : later;
    this.#events.splice(place, 0, event);
    if (place === 0) {
      this.#arm();
    }
    return { cancel: () => this.#cancel(event) };
  }

  #cancel(event: QueuedEvent): void {
    const place = this.#events.indexOf(event);
    if (place >= 0) {
      this.#events.splice(place, 1);
      if (place === 0) {
        this.#arm();
      }
    }
  }

  /** One macrotask for the first event: nothing is left behind that would keep the process alive. */
  #arm(): void {
    this.#armed?.disarm();
    this.#armed = undefined;
    const [first] = this.#events;
    if (first === undefined) {
      return;
    }
    const leftNs = first.dueNs - this.nowNs;
    if (leftNs <= 0) {
      const immediate = setImmediate(() => this.#fire());
      this.#armed = { disarm: () => clearImmediate(immediate) };
      return;
    }
    const stepMs = Math.min(Math.ceil(leftNs / NS_PER_MS), TIMER_MS_MAX);
    const timer = setTimeout(() => this.#fire(), stepMs);
    this.#armed = { disarm: () => clearTimeout(timer) };
  }

  /** Runs the first event if it is due; who was woken by it goes on before the next one. */
  #fire(): void {
    this.#armed = undefined;
    const [first] = this.#events;
    const isDue = first !== undefined && first.dueNs <= this.nowNs;
    if (isDue) {
      this.#events.shift();
    }
    this.#arm();
    if (isDue) {
      first.run();
    }
  }
}
