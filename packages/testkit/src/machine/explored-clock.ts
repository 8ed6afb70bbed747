/**
 * Explored clock: a machine's time, put in order by the explorer.
 *
 * Each lane of the machine is a lane of the world's clock: events of one engine, one processor or the links keep their order,
 * and between them the explorer decides.
 */
import { PeerbufError, type ScheduledEvent } from "@peerbuf/core";
import type { LaneClock, MachineClock } from "@peerbuf/machine";
import type { GroundClock, Lane } from "../ground/ground-clock.ts";

export class ExploredClock implements MachineClock {
  readonly #clock: GroundClock;
  readonly #lanes = new Map<string, ExploredLane>();

  constructor(clock: GroundClock) {
    this.#clock = clock;
  }

  get nowNs(): number {
    return this.#clock.nowNs;
  }

  get pendingCount(): number {
    return this.#clock.lanes.reduce((count, lane) => count + lane.length, 0);
  }

  /** For time limits: such an event runs only when nothing is due before it. */
  schedule(delayNs: number, run: () => void): ScheduledEvent {
    return this.#clock.schedule(delayNs, run);
  }

  scheduleAt(timeNs: number, run: () => void): ScheduledEvent {
    return this.#clock.schedule(timeNs - this.nowNs, run);
  }

  /** Made when it is first asked for, which is the same moment in each run. */
  lane(name: string): LaneClock {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = new ExploredLane(this.#clock.lane(name));
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  run(): number {
    throw notOurs();
  }

  runUntil(): number {
    throw notOurs();
  }
}

class ExploredLane implements LaneClock {
  readonly #lane: Lane;

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  get nowNs(): number {
    return this.#lane.nowNs;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    return this.scheduleAt(this.#lane.nowNs + delayNs, run);
  }

  scheduleAt(timeNs: number, run: () => void): ScheduledEvent {
    const delayNs = timeNs - this.#lane.nowNs;
    if (!(delayNs >= 0 && Number.isFinite(delayNs))) {
      throw new PeerbufError("ARGUMENT_INVALID", `an event cannot be ${delayNs} ns from now`);
    }
    return this.#lane.schedule(delayNs, run);
  }
}

const notOurs = (): PeerbufError =>
  new PeerbufError(
    "WRONG_ORDER",
    "the explorer says which event comes next: nobody else runs the clock",
  );
