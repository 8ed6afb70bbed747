/**
 * Passable write: one posted write that waits to be overtaken.
 *
 * The next write of the device may pass it if it has Relaxed Ordering (PCIe base specification 5.0, 2.4.1, table
 * 2-40, entry A2). Before anything else of the device, and after a stated time, it arrives.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";

interface Held {
  readonly deliver: () => void;
  readonly overtaken: () => void;
  readonly timer: ScheduledEvent;
}

export class PassableWrite {
  readonly #clock: Clock;
  #held: Held | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `overtaken` is told if it happens. */
  hold(delayNs: number, deliver: () => void, overtaken: () => void): void {
    this.arrive();
    const timer = this.#clock.schedule(delayNs, () => this.arrive());
    this.#held = { deliver, overtaken, timer };
  }

  /** Something that may not pass it is about to be sent. */
  arrive(): void {
    this.#take()?.deliver();
  }

  /** A write that may pass it has arrived. */
  overtake(): void {
    const held = this.#take();
    held?.overtaken();
    held?.deliver();
  }

  /** It never arrives. */
  forget(): void {
    this.#take();
  }

  #take(): Held | undefined {
    const held = this.#held;
    this.#held = undefined;
    held?.timer.cancel();
    return held;
  }
}
