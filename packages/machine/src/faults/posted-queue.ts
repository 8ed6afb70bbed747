/**
 * Posted queue: posted writes and interrupts of one device that are late.
 *
 * First in, first out: nothing posted passes an earlier posted write, so what follows a late one waits
 * behind it. A read pushes all of them ahead of itself.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";

interface Late {
  readonly dueNs: number;
  readonly deliver: () => void;
}

export class PostedQueue {
  readonly #clock: Clock;
  readonly #late: Late[] = [];
  #timer: ScheduledEvent | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#late.length === 0;
  }

  /** Not before `delayNs` from now, nor before what is in the queue: only its head is ever delivered. */
  add(delayNs: number, deliver: () => void): void {
    this.#late.push({ dueNs: this.#clock.nowNs + delayNs, deliver });
    this.#arm();
  }

  /** Everything arrives now, in order. */
  push(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const { deliver } of this.#late.splice(0)) {
      deliver();
    }
  }

  /** What was to come never arrives. */
  forget(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#late.length = 0;
  }

  #arm(): void {
    const [first] = this.#late;
    if (this.#timer === undefined && first !== undefined) {
      const delayNs = Math.max(0, first.dueNs - this.#clock.nowNs);
      this.#timer = this.#clock.schedule(delayNs, () => this.#deliverDue());
    }
  }

  #deliverDue(): void {
    this.#timer = undefined;
    for (
      let first = this.#late[0];
      first !== undefined && first.dueNs <= this.#clock.nowNs;
      first = this.#late[0]
    ) {
      this.#late.shift();
      first.deliver();
    }
    this.#arm();
  }
}
