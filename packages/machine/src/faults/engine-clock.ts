/**
 * Engine clock: a device's time, which can be made to stand still.
 *
 * While it stands, nothing that the device had planned happens; when it goes on, what was due in the
 * meantime happens at once and in order.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";

class HeldEvent implements ScheduledEvent {
  readonly run: () => void;
  inner: ScheduledEvent | undefined;
  isOver = false;

  constructor(run: () => void) {
    this.run = run;
  }

  cancel(): void {
    this.isOver = true;
    this.inner?.cancel();
  }
}

export class EngineClock implements Clock {
  readonly #inner: Clock;
  /** Asked before each event of the device: does its engine get on? */
  readonly #isStalled: () => boolean;
  readonly #held: HeldEvent[] = [];

  constructor(inner: Clock, isStalled: () => boolean) {
    this.#inner = inner;
    this.#isStalled = isStalled;
  }

  get nowNs(): number {
    return this.#inner.nowNs;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    return this.plan((due) => this.#inner.schedule(delayNs, due), run);
  }

  /** Work of the device that `start` says the end of. */
  plan(start: (due: () => void) => ScheduledEvent, run: () => void): ScheduledEvent {
    const event = new HeldEvent(run);
    event.inner = start(() => this.#due(event));
    return event;
  }

  /** The engine gets on. */
  goOn(): void {
    for (const event of this.#held.splice(0)) {
      if (!event.isOver) {
        event.inner = this.#inner.schedule(0, () => this.#due(event));
      }
    }
  }

  #due(event: HeldEvent): void {
    if (this.#isStalled()) {
      this.#held.push(event);
      return;
    }
    event.isOver = true;
    event.run();
  }
}
