/**
 * Event heap: what is still to happen, soonest first.
 *
 * A binary heap ordered by time, then by order of arrival, so that events of one moment come out as
 * they went in. Each event knows its place, so taking one back costs as little as taking the next.
 */
export interface HeapEvent {
  readonly timeNs: number;
  readonly sequence: number;
  readonly run: () => void;
  /** Place in the heap; -1 when it is not in it. */
  place: number;
}

export class EventHeap {
  readonly #events: HeapEvent[] = [];

  get size(): number {
    return this.#events.length;
  }

  /** The soonest event, left in the heap. */
  peek(): HeapEvent | undefined {
    return this.#events[0];
  }

  push(event: HeapEvent): void {
    this.#events.push(event);
    this.#rise(event, this.#events.length - 1);
  }

  /** Takes out an event, wherever it is. Does nothing when it is not in the heap. */
  remove(event: HeapEvent): void {
    const place = event.place;
    if (place < 0) {
      return;
    }
    event.place = -1;
    const last = this.#events.pop() as HeapEvent;
    if (last !== event) {
      this.#sink(last, place);
      this.#rise(last, last.place);
    }
  }

  #rise(event: HeapEvent, from: number): void {
    let place = from;
    while (place > 0) {
      const parent = this.#events[(place - 1) >> 1] as HeapEvent;
      if (isBefore(parent, event)) {
        break;
      }
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(event, place);
  }

  #sink(event: HeapEvent, from: number): void {
    let place = from;
    for (;;) {
      const left = this.#events[2 * place + 1];
      const right = this.#events[2 * place + 2];
      const child =
        right !== undefined && left !== undefined && isBefore(right, left) ? right : left;
      if (child === undefined || isBefore(event, child)) {
        break;
      }
      const next = child.place;
      this.#put(child, place);
      place = next;
    }
    this.#put(event, place);
  }

  #put(event: HeapEvent, place: number): void {
    this.#events[place] = event;
    event.place = place;
  }
}

const isBefore = (one: HeapEvent, other: HeapEvent): boolean =>
  one.timeNs < other.timeNs || (one.timeNs === other.timeNs && one.sequence < other.sequence);
