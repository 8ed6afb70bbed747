/**
 * Function state: what faults hold of one function, whatever is plugged in before its link meanwhile.
 *
 * Posted writes that are late, and the work of a stalled engine.
 */
import type { Clock } from "@peerbuf/core";
import { EngineClock } from "./engine-clock.ts";
import { PostedQueue } from "./posted-queue.ts";

export class FunctionState {
  readonly late: PostedQueue;
  readonly clock: EngineClock;

  /** `isStalled` is asked before each event of the device. */
  constructor(clock: Clock, isStalled: () => boolean) {
    this.late = new PostedQueue(clock);
    this.clock = new EngineClock(clock, isStalled);
  }

  /** Late writes arrive, a stalled engine gets on unless it still may not. */
  release(): void {
    this.late.push();
    this.clock.goOn();
  }
}
