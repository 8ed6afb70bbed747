/**
 * Flow network: transfers under way, as fluids that share what they flow through, in virtual time.
 *
 * Transfers of one device that use the same resources form a stream and are served in order, as a
 * device's DMA engine does; streams share fairly (`fair-share.ts`). Rates change only when a stream
 * begins, ends or changes its mixture, so a queue of equal transfers costs one event each and no
 * new division. A transfer is over when its last byte is sent and has had the time to arrive, at a whole
 * nanosecond; in between, time is not rounded.
 *
 * As many transfers may be under way as devices have engines and queue entries; nothing is kept of
 * one that is over but the sums in `carried`.
 */
import type { ScheduledEvent } from "@peerbuf/core";
import type { LaneClock } from "../machine-clock.ts";
import { FairShare } from "./fair-share.ts";

/** What a transfer takes of each resource, in the resource's units. */
export interface Load {
  readonly resources: readonly number[];
  readonly amounts: readonly number[];
}

/** A transfer waiting or under way. */
class Flow implements ScheduledEvent {
  readonly load: Load;
  readonly units: number;
  readonly weights: readonly number[];
  readonly arriveNs: number;
  readonly done: () => void;
  /** Where it arrives. */
  readonly lane: LaneClock;
  readonly #stream: Stream;
  /** The event in which it arrives, once all of it is sent. */
  arrival: ScheduledEvent | undefined;

  constructor(
    stream: Stream,
    load: Load,
    units: number,
    arriveNs: number,
    done: () => void,
    lane: LaneClock,
  ) {
    this.#stream = stream;
    this.lane = lane;
    this.load = load;
    this.units = units;
    this.weights = load.amounts.map((amount) => amount / units);
    this.arriveNs = arriveNs;
    this.done = done;
  }

  get resources(): readonly number[] {
    return this.load.resources;
  }

  cancel(): void {
    if (this.arrival === undefined) {
      this.#stream.withdraw(this);
    } else {
      this.arrival.cancel();
    }
  }
}

/** Transfers of one device over the same resources, served in order. */
class Stream {
  readonly key: string;
  readonly waiting: Flow[] = [];
  readonly withdraw: (flow: Flow) => void;
  /** Units of the first flow that are not sent yet, as of the network's last settlement. */
  remaining = 0;
  /** Units a nanosecond. */
  rate = 0;

  constructor(key: string, withdraw: (stream: Stream, flow: Flow) => void) {
    this.key = key;
    this.withdraw = (flow) => withdraw(this, flow);
  }

  get head(): Flow {
    return this.waiting[0] as Flow;
  }

  /** When the first flow is sent, in nanoseconds from the settlement. */
  get leftNs(): number {
    return this.remaining <= 0 ? 0 : this.remaining / this.rate;
  }
}

export class FlowNetwork {
  /** Units that have gone through each resource, by transfers that are sent. */
  readonly carried: number[] = [];
  readonly #clock: LaneClock;
  readonly #fairShare: FairShare;
  readonly #streams = new Map<string, Stream>();
  readonly #active: Stream[] = [];
  readonly #heads: Flow[] = [];
  readonly #rates: number[] = [];
  #settledNs = 0;
  #next: ScheduledEvent | undefined;

  /** Capacities by resource, in units a nanosecond; the caller may append to them, never change them. */
  constructor(clock: LaneClock, capacities: readonly number[]) {
    this.#clock = clock;
    this.#fairShare = new FairShare(capacities);
  }

  /**
   * Begins a transfer of `units` in the stream `key`, whose transfers all use the same resources. `done` runs when it has
   * arrived: `arriveNs` after its last unit is sent, as an event of `lane` (the network's own unless given), never within
   * this call.
   */
  start(
    key: string,
    load: Load,
    units: number,
    arriveNs: number,
    done: () => void,
    lane: LaneClock = this.#clock,
  ): ScheduledEvent {
    const stream = this.#streams.get(key) ?? this.#open(key);
    const flow = new Flow(stream, load, units, arriveNs, done, lane);
    stream.waiting.push(flow);
    if (stream.waiting.length === 1) {
      this.#settle();
      stream.remaining = units;
      this.#active.push(stream);
      this.#share();
    }
    return flow;
  }

  /** Rate of each stream that is sending, in its units a nanosecond. For inspection. */
  rates(): { readonly key: string; readonly perNs: number }[] {
    return this.#active.map(({ key, rate }) => ({ key, perNs: rate }));
  }

  #open(key: string): Stream {
    const stream = new Stream(key, (from, flow) => this.#withdraw(from, flow));
    this.#streams.set(key, stream);
    return stream;
  }

  /** Brings what is sent up to now. */
  #settle(): void {
    const { nowNs } = this.#clock;
    const passedNs = nowNs - this.#settledNs;
    this.#settledNs = nowNs;
    if (passedNs > 0) {
      for (const stream of this.#active) {
        stream.remaining -= stream.rate * passedNs;
      }
    }
  }

  /** New rates for everybody, and the time at which the next one is sent. */
  #share(): void {
    this.#heads.length = 0;
    for (const stream of this.#active) {
      this.#heads.push(stream.head);
    }
    this.#fairShare.fill(this.#heads, this.#rates);
    for (let index = 0; index < this.#active.length; index++) {
      (this.#active[index] as Stream).rate = this.#rates[index] as number;
    }
    this.#plan();
  }

  #plan(): void {
    this.#next?.cancel();
    this.#next = undefined;
    const soonest = this.#soonest();
    if (soonest !== undefined) {
      this.#next = this.#clock.schedule(soonest.leftNs, () => this.#advance(soonest));
    }
  }

  #soonest(): Stream | undefined {
    let soonest = this.#active[0];
    for (const stream of this.#active) {
      if (stream.leftNs < (soonest as Stream).leftNs) {
        soonest = stream;
      }
    }
    return soonest;
  }

  /** The first flow of `stream` is sent; others may be in the same moment. */
  #advance(stream: Stream): void {
    this.#next = undefined;
    this.#settle();
    stream.remaining = 0;
    let isChanged = false;
    for (let index = this.#active.length - 1; index >= 0; index--) {
      const each = this.#active[index] as Stream;
      if (each.remaining <= each.head.units * 1e-9) {
        isChanged = this.#sent(each) || isChanged;
      }
    }
    if (isChanged) {
      this.#share();
    } else {
      this.#plan();
    }
  }

  /** Goes on to the stream's next flow. Says whether rates may change by it. */
  #sent(stream: Stream): boolean {
    const flow = stream.waiting.shift() as Flow;
    const { resources, amounts } = flow.load;
    for (let index = 0; index < resources.length; index++) {
      const resource = resources[index] as number;
      this.carried[resource] = (this.carried[resource] ?? 0) + (amounts[index] as number);
    }
    flow.arrival = flow.lane.scheduleAt(this.#wholeNs(flow.arriveNs), flow.done);
    return this.#begin(stream, flow);
  }

  /** The next whole nanosecond so far from now; what a division left over of the one before does not count. */
  #wholeNs(delayNs: number): number {
    const { nowNs } = this.#clock;
    return Math.max(Math.ceil(nowNs), Math.ceil(nowNs + delayNs - 1e-6));
  }

  /** After `last`, the next flow of the stream begins, or the stream ends. Says whether rates may change by it. */
  #begin(stream: Stream, last: Flow): boolean {
    const next = stream.waiting[0];
    if (next === undefined) {
      this.#active.splice(this.#active.indexOf(stream), 1);
      this.#streams.delete(stream.key);
      return true;
    }
    stream.remaining = next.units;
    return !isSameMixture(last, next);
  }

  /** Takes a flow back that is not sent. */
  #withdraw(stream: Stream, flow: Flow): void {
    const place = stream.waiting.indexOf(flow);
    if (place < 0) {
      return;
    }
    stream.waiting.splice(place, 1);
    if (place === 0) {
      this.#settle();
      this.#begin(stream, flow);
      this.#share();
    }
  }
}

/** The flows of a stream use the same resources; do they use them alike? */
function isSameMixture(one: Flow, other: Flow): boolean {
  if (one.load === other.load) {
    return true;
  }
  for (let index = 0; index < one.weights.length; index++) {
    if (one.weights[index] !== other.weights[index]) {
      return false;
    }
  }
  return true;
}
