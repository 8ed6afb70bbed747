/**
 * Ground clock: virtual time whose ready events an explorer puts in order.
 *
 * Events wait in lanes, one for each driver and engine. Within a lane they run in the order of their
 * times, as the contract of `Clock` promises to whoever scheduled them. Between lanes nothing is promised
 * by hardware, so of the first events of all lanes those are ready that are due within `slackNs` of the
 * earliest one, and somebody else decides which runs. A time limit of a second therefore never runs before
 * work of a microsecond.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";

/** Told of every event: two that go into one lane come in the order in which they were scheduled. */
export interface ScheduleListener {
  scheduled(lane: Lane): void;
}

class LaneEvent implements ScheduledEvent {
  readonly dueNs: number;
  /** The turn in which it was scheduled. */
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
  /** In order of time; those of one time in order of arrival. */
  readonly #events: LaneEvent[] = [];
  readonly #clock: GroundClock;

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

  /** The turn in which the first event was scheduled; nothing waits: -1. */
  get firstBornAt(): number {
    return this.#events[0]?.bornAt ?? -1;
  }

  get length(): number {
    return this.#events.length;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    const clock = this.#clock;
    clock.listener?.scheduled(this);
    const event = new LaneEvent(this, clock.nowNs + Math.max(0, delayNs), clock.turn, run);
    this.#insert(event);
    return event;
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
    }
  }

  #insert(event: LaneEvent): void {
    const events = this.#events;
    let place = events.length;
    while (place > 0 && (events[place - 1] as LaneEvent).dueNs > event.dueNs) {
      place--;
    }
    if (place === events.length) {
      events.push(event);
    } else {
      events.splice(place, 0, event);
    }
  }
}

export class GroundClock implements Clock {
  /** In the order in which they were made. */
  readonly lanes: Lane[] = [];
  /** The turn that runs, counted from 0 by whoever gives turns. */
  turn = -1;
  listener: ScheduleListener | undefined;
  readonly #slackNs: number;
  readonly #own: Lane;
  #nowNs = 0;

  constructor(slackNs: number) {
    this.#slackNs = slackNs;
    this.#own = this.lane("time limits");
  }

  get nowNs(): number {
    return this.#nowNs;
  }

  /** Core's own limits of waiting: one lane. */
  schedule(delayNs: number, run: () => void): ScheduledEvent {
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

  reach(dueNs: number): void {
    this.#nowNs = Math.max(this.#nowNs, dueNs);
  }
}
