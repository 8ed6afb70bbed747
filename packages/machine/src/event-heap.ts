/**
 * Event heap: what is still to happen, soonest first.
 *
 * A heap of four children a node, ordered by time, then by order of arrival, so that events of one
 * moment come out as they went in. Each event knows its place, so taking one back costs as little as
 * taking the next. Times stand in an array of their own: comparing them follows no pointer.
 */
import type { ScheduledEvent } from "@peerbuf/core";

/** More children than two make the heap flat: fewer steps, each within one cache line of times. */
const CHILDREN = 4;

export class HeapEvent implements ScheduledEvent {
  readonly timeNs: number;
  readonly sequence: number;
  readonly run: () => void;
  /** Place in the heap; -1 when it is not in it. */
  place = -1;
  readonly #heap: EventHeap;

  constructor(heap: EventHeap, timeNs: number, sequence: number, run: () => void) {
    this.timeNs = timeNs;
    this.sequence = sequence;
    this.run = run;
    this.#heap = heap;
  }

  cancel(): void {
    this.#heap.remove(this);
  }
}

export class EventHeap {
  readonly #events: HeapEvent[] = [];
  readonly #times: number[] = [];

  get size(): number {
    return this.#events.length;
  }

  /** The soonest event, left in the heap. */
  peek(): HeapEvent | undefined {
    return this.#events[0];
  }

  push(event: HeapEvent): void {
    const place = this.#events.length;
    this.#events.push(event);
    this.#times.push(event.timeNs);
    this.#rise(event, place);
  }

  /** Takes out an event, wherever it is. Does nothing when it is not in the heap. */
  remove(event: HeapEvent): void {
    const place = event.place;
    if (place < 0) {
      return;
    }
    event.place = -1;
    const last = this.#events.pop() as HeapEvent;
    this.#times.pop();
    if (last !== event) {
      this.#sink(last, place);
      this.#rise(last, last.place);
    }
  }

  #rise(event: HeapEvent, from: number): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 2;
      if (!this.#isBefore(event, parent)) {
        break;
      }
      this.#put(this.#events[parent] as HeapEvent, place);
      place = parent;
    }
    this.#put(event, place);
  }

  #sink(event: HeapEvent, from: number): void {
    let place = from;
    for (let first = CHILDREN * place + 1; first < this.#events.length; ) {
      const child = this.#soonestOf(first);
      if (this.#isBefore(event, child)) {
        break;
      }
      this.#put(this.#events[child] as HeapEvent, place);
      place = child;
      first = CHILDREN * place + 1;
    }
    this.#put(event, place);
  }

  /** Of the children that begin at `first`. By their times alone, unless two are the same. */
  #soonestOf(first: number): number {
    const times = this.#times;
    const end = Math.min(first + CHILDREN, times.length);
    let soonest = first;
    let soonestNs = times[first] as number;
    for (let child = first + 1; child < end; child++) {
      const timeNs = times[child] as number;
      if (timeNs < soonestNs || (timeNs === soonestNs && this.#isEarlier(child, soonest))) {
        soonest = child;
        soonestNs = timeNs;
      }
    }
    return soonest;
  }

  #isEarlier(one: number, other: number): boolean {
    return (this.#events[one] as HeapEvent).sequence < (this.#events[other] as HeapEvent).sequence;
  }

  #isBefore(event: HeapEvent, other: number): boolean {
    const otherNs = this.#times[other] as number;
    return (
      event.timeNs < otherNs ||
      (event.timeNs === otherNs && event.sequence < (this.#events[other] as HeapEvent).sequence)
    );
  }

  #put(event: HeapEvent, place: number): void {
    this.#events[place] = event;
    this.#times[place] = event.timeNs;
    event.place = place;
  }
}
