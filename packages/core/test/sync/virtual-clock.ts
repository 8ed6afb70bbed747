/**
 * Virtual clock: time for the sync tests, which moves only when a test says so.
 */
import { type Clock, FenceDomain, type ScheduledEvent } from "@peerbuf/core";

interface Event {
  readonly atNs: number;
  readonly run: () => void;
}

class VirtualClock implements Clock {
  nowNs = 0;
  private events: Event[] = [];

  /** Events that were neither run nor cancelled: a wait that ended must leave none. */
  get pendingCount(): number {
    return this.events.length;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    const event = { atNs: this.nowNs + delayNs, run };
    this.events.push(event);
    return { cancel: () => this.remove(event) };
  }

  advance(durationNs: number): void {
    const endNs = this.nowNs + durationNs;
    for (let event = this.firstUntil(endNs); event; event = this.firstUntil(endNs)) {
      this.remove(event);
      this.nowNs = event.atNs;
      event.run();
    }
    this.nowNs = endNs;
  }

  private firstUntil(endNs: number): Event | undefined {
    const due = this.events.filter((event) => event.atNs <= endNs);
    return due.reduce<Event | undefined>(
      (first, event) => (first === undefined || event.atNs < first.atNs ? event : first),
      undefined,
    );
  }

  private remove(event: Event): void {
    this.events = this.events.filter((other) => other !== event);
  }
}

export interface TestDomain {
  readonly clock: Clock & Pick<VirtualClock, "advance" | "pendingCount">;
  readonly domain: FenceDomain;
}

export function testDomain(): TestDomain {
  const clock = new VirtualClock();
  return { clock, domain: new FenceDomain(clock) };
}

/** A small generator (mulberry32), so that a stress test is one seed. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Lets every task run until all of them wait for something. */
export async function settleTasks(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
