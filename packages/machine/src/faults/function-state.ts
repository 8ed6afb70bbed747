/**
 * Function state: what faults hold of one function, whatever is plugged in before its link meanwhile.
 *
 * Posted writes that are late or wait to be overtaken, and the work of a stalled engine.
 */
import type { Clock } from "@peerbuf/core";
import { EngineClock } from "./engine-clock.ts";
import { PassableWrite } from "./passable-write.ts";
import { PostedQueue } from "./posted-queue.ts";

export class FunctionState {
  readonly late: PostedQueue;
  readonly passable: PassableWrite;
  readonly clock: EngineClock;

  /** `isStalled` is asked before each event of the device. */
  constructor(clock: Clock, isStalled: () => boolean) {
    this.late = new PostedQueue(clock);
    this.passable = new PassableWrite(clock);
    this.clock = new EngineClock(clock, isStalled);
  }

  /** Everything that was posted arrives now. */
  arrive(): void {
    this.passable.arrive();
    this.late.push();
  }

  /** A posted write or an interrupt that may pass nothing. */
  post(deliver: () => void): void {
    this.passable.arrive();
    if (this.late.isEmpty) {
      deliver();
    } else {
      this.late.add(0, deliver);
    }
  }

  /** A write that the next one may overtake; behind late ones it keeps its place. */
  letPass(delayNs: number, deliver: () => void, overtaken: () => void): void {
    if (this.late.isEmpty) {
      this.passable.hold(delayNs, deliver, overtaken);
    } else {
      this.late.add(0, deliver);
    }
  }

  /** The function is gone, and what it had posted with it. */
  forget(): void {
    this.passable.forget();
    this.late.forget();
  }

  /** Late writes arrive, a stalled engine gets on unless it still may not. */
  release(): void {
    this.arrive();
    this.clock.goOn();
  }
}
