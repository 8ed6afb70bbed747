/**
 * Ground clock: virtual time whose ready events an explorer puts in order.
 *
 * Events wait in lanes, one for each driver and engine. Within a lane they run in the order of their
 * times, as the contract of `Clock` promises to whoever scheduled them. Between lanes nothing is promised
 * by hardware, so of the first events of all lanes those are ready that are due within `slackNs` of the
 * earliest one, and somebody else decides which runs. A time limit of a second therefore never runs before
 * work of a microsecond.
 */
import type { Clock, Device, ScheduledEvent } from "@peerbuf/core";
import { TIME, type Touches } from "./touches.ts";

class LaneEvent implements ScheduledEvent {
  readonly dueNs: number;
  /** The turn in which it was scheduled; -1: it overtook another, which could have run without it. */
  readonly bornAt: number;
  readonly run: () => void;
  readonly #lane: Lane;

  constructor(lane: Lane, dueNs: number, bornAt: number, run: () => void) {
    this.#lane = lane;
    this.dueNs = dueNs;
    this.bornAt = bornAt;
    this.run = run;
  }

  cancel(): void {
    this.#lane.cancel(this);
  }
}

/** A queue of events that belong together. */
export class Lane implements Clock {
  readonly name: string;
  /** Whose driver its events call; undefined: all drivers without a device, or core itself. */
  device: Device | undefined;
  /** In order of time; those of one time in order of arrival. */
  readonly #events: LaneEvent[] = [];
  readonly #clock: GroundClock;
  /** Of the latest event. */
  #delayNs = -1;

  constructor(clock: GroundClock, name: string) {
    this.#clock = clock;
    this.name = name;
  }

  get nowNs(): number {
    return this.#clock.nowNs;
  }

  /** When the first event is due; nothing waits: Infinity. */
  get dueNs(): number {
    return this.#events[0]?.dueNs ?? Number.POSITIVE_INFINITY;
  }

  /** The turn without which there would be no first event; -1: none. */
  get firstBornAt(): number {
    return this.#events[0]?.bornAt ?? -1;
  }

  get length(): number {
    return this.#events.length;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    const clock = this.#clock;
    const dueNs = clock.nowNs + Math.max(0, delayNs);
    const place = this.#placeFor(dueNs);
    const overtakes = place < this.#events.length;
    this.#noteDelay(delayNs, overtakes);
    const event = new LaneEvent(this, dueNs, overtakes ? -1 : clock.turn, run);
    if (overtakes) {
      this.#events.splice(place, 0, event);
    } else {
      this.#events.push(event);
    }
    return event;
  }

  /** What the run of an event touches by itself. */
  declare(touches: Touches): void {
    touches.read(touches.subject(`${this.name}: changed`));
    touches.write(TIME);
  }

  /** Runs the first event. */
  runFirst(): void {
    const event = this.#events.shift();
    if (event !== undefined) {
      this.#clock.reach(event.dueNs);
      event.run();
    }
  }

  /** An event that has run, or was called off before, is none of it. */
  cancel(event: ScheduledEvent): void {
    const place = this.#events.indexOf(event as LaneEvent);
    if (place >= 0) {
      this.#events.splice(place, 1);
      this.#touch("changed");
    }
  }

  #placeFor(dueNs: number): number {
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1] as LaneEvent).dueNs > dueNs) {
      place--;
    }
    return place;
  }

  /** Two events of one lane come in the order in which they were scheduled. */
  #noteDelay(delayNs: number, overtakes: boolean): void {
    this.#clock.delayed(delayNs, this.#delayNs >= 0 && this.#delayNs !== delayNs);
    this.#delayNs = delayNs;
    this.#touch("order");
    if (overtakes) {
      this.#touch("changed");
    }
  }

  #touch(what: string): void {
    const { touches } = this.#clock;
    if (touches?.isOn === true) {
      touches.write(touches.subject(`${this.name}: ${what}`));
      touches.read(TIME);
    }
  }
}

export class GroundClock implements Clock {
  /** In the order in which they were made. */
  readonly lanes: Lane[] = [];
  /** The turn that runs, counted from 0 by whoever gives turns. */
  turn = -1;
  /** Told of every event that is scheduled or taken back. */
  touches: Touches | undefined;
  readonly #slackNs: number;
  readonly #own: Lane;
  #nowNs = 0;
  #delaysNs = 0;
  #isMixed = false;

  constructor(slackNs: number) {
    this.#slackNs = slackNs;
    this.#own = this.lane("time limits");
  }

  get nowNs(): number {
    return this.#nowNs;
  }

  /** Core's own limits of waiting: one lane. */
  schedule(delayNs: number, run: () => void): ScheduledEvent {
    this.#isMixed = true; // A time limit waits for everything that is due before it.
    return this.#own.schedule(delayNs, run);
  }

  lane(name: string): Lane {
    const lane = new Lane(this, name);
    this.lanes.push(lane);
    return lane;
  }

  /** The latest time at which an event may run now. Infinity: nothing waits. */
  get horizonNs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { dueNs } of this.lanes) {
      earliest = dueNs < earliest ? dueNs : earliest;
    }
    return earliest + this.#slackNs;
  }

  /** May the first event of this lane run? A time limit of core only when nothing is due before it. */
  isReady(lane: Lane, horizonNs: number): boolean {
    const limitNs = lane === this.#own ? horizonNs - this.#slackNs : horizonNs;
    return lane.length > 0 && lane.dueNs <= limitNs;
  }

  /**
   * Does time have a say in what can happen next? Not as long as all delays of the run together are within the slack and
   * each lane has seen only one: then no order of its turns makes an event wait for another, or pass it in its lane.
   */
  get isTimed(): boolean {
    return this.#isMixed || this.#delaysNs > this.#slackNs;
  }

  delayed(delayNs: number, isMixed: boolean): void {
    this.#delaysNs += delayNs;
    this.#isMixed ||= isMixed;
  }

  reach(dueNs: number): void {
    this.#nowNs = Math.max(this.#nowNs, dueNs);
  }
}
