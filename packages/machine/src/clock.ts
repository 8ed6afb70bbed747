/**
 * Virtual clock: time that moves only when an event runs.
 *
 * Two ways to let it move. `run` and `runUntil` run events in this call, for harnesses and
 * measurements. Otherwise the clock pumps itself: whenever events are queued, a macrotask runs those
 * of the next moment, so `await`ing device work simply gets on. Before time moves on, everything
 * that was woken by this moment's events has run up to its next `await`; so the order is the same
 * in every run.
 *
 * An event that throws does so to whoever called `run`. When the clock pumps itself nobody called, so it throws to
 * the process, unless `onFailure` says who is to hear of it; the other events of the moment run all the same.
 *
 * Work that never ends is refused: more events than the limit in one call of `run`, or in one moment
 * of the pump, is `CLOCK_RUNAWAY`.
 */
import { PeerbufError, type ScheduledEvent } from "@peerbuf/core";
import { EventHeap, HeapEvent } from "./event-heap.ts";
import type { MachineClock } from "./machine-clock.ts";

/** Events that one drain may run unless the machine says otherwise. */
export const EVENTS_PER_DRAIN_MAX = 10_000_000;

export class VirtualClock implements MachineClock {
  readonly #heap = new EventHeap();
  readonly #eventsMax: number;
  #nowNs = 0;
  #sequence = 0;
  #isRunning = false;
  #isPumpArmed = false;
  /** Hears what an event threw while the clock pumped itself, `CLOCK_RUNAWAY` included. It must not throw. */
  onFailure: ((error: unknown) => void) | undefined;

  /** `Infinity`: no limit. `ARGUMENT_INVALID` for what is no count. */
  constructor(eventsPerDrainMax: number = EVENTS_PER_DRAIN_MAX) {
    const isCount = Number.isInteger(eventsPerDrainMax) || eventsPerDrainMax === Infinity;
    if (!(isCount && eventsPerDrainMax > 0)) {
      const text = `a clock cannot run at most ${eventsPerDrainMax} events in one go`;
      throw new PeerbufError("ARGUMENT_INVALID", text);
    }
    this.#eventsMax = eventsPerDrainMax;
  }

  get nowNs(): number {
    return this.#nowNs;
  }

  /** Events that have not run yet. */
  get pendingCount(): number {
    return this.#heap.size;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    return this.scheduleAt(this.#nowNs + delayNs, run);
  }

  /** As `schedule`, at a time that has not passed. */
  scheduleAt(timeNs: number, run: () => void): ScheduledEvent {
    if (!(timeNs >= this.#nowNs && Number.isFinite(timeNs))) {
      const delayNs = timeNs - this.#nowNs;
      throw new PeerbufError("ARGUMENT_INVALID", `an event cannot be ${delayNs} ns from now`);
    }
    const event = new HeapEvent(this.#heap, timeNs, this.#sequence++, run);
    this.#heap.push(event);
    if (!this.#isRunning) {
      this.#armPump();
    }
    return event;
  }

  /** One order for all. */
  lane(_name: string): VirtualClock {
    return this;
  }

  /** Runs events until none is left. Returns how many ran. */
  run(): number {
    return this.runUntil(Number.POSITIVE_INFINITY);
  }

  /** Runs the events up to and including `timeNs`, then stands at `timeNs`. Returns how many ran. `ARGUMENT_INVALID` for no time. */
  runUntil(timeNs: number): number {
    if (Number.isNaN(timeNs)) {
      throw new PeerbufError("ARGUMENT_INVALID", "a clock cannot run until NaN ns");
    }
    const count = this.#drain(timeNs);
    if (Number.isFinite(timeNs)) {
      this.#nowNs = Math.max(this.#nowNs, timeNs);
    }
    return count;
  }

  #drain(untilNs: number): number {
    if (this.#isRunning) {
      throw new PeerbufError("WRONG_ORDER", "the clock is running already: an event called run");
    }
    this.#isRunning = true;
    try {
      return this.#runEvents(untilNs);
    } finally {
      this.#isRunning = false;
      this.#armPump();
    }
  }

  #runEvents(untilNs: number): number {
    let count = 0;
    for (let event = this.#heap.peek(); event !== undefined; event = this.#heap.peek()) {
      if (event.timeNs > untilNs) {
        break;
      }
      if (count === this.#eventsMax) {
        throw new PeerbufError(
          "CLOCK_RUNAWAY",
          `${count} events ran in one go up to ${this.#nowNs} ns and there are more: the limit is ${this.#eventsMax}`,
        );
      }
      count++;
      this.#heap.remove(event);
      this.#nowNs = event.timeNs;
      event.run();
    }
    return count;
  }

  #armPump(): void {
    if (!this.#isPumpArmed && this.#heap.size > 0) {
      this.#isPumpArmed = true;
      setImmediate(() => this.#pump());
    }
  }

  #pump(): void {
    this.#isPumpArmed = false;
    const next = this.#heap.peek();
    if (next === undefined) {
      return;
    }
    try {
      this.#drain(next.timeNs);
    } catch (error) {
      if (this.onFailure === undefined) {
        throw error;
      }
      this.onFailure(error);
    }
  }
}
