/**
 * Clock: events a second of the virtual clock, against a plain binary heap of the same events.
 *
 * The hold model: a number of events is always waiting, and each one that runs schedules the next at a
 * random distance. The baseline is the textbook's heap; it cannot take events back, for which ours knows every event's place.
 */
import { VirtualClock } from "@peerbuf/machine";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { elapsedNs, measure } from "./measure.ts";

const WAITING = 10_000;
const DISTANCE_NS_MAX = 1_000_000;
const BAR = { ratio: ">= 0.8" };

export const clockEvents: Bench = {
  name: "machine.clock-events",
  run({ quick }): BenchResult {
    const events = quick ? WAITING : 50 * WAITING;
    const perSecond = (queue: () => Queue) => (): number =>
      events / (elapsedNs(() => hold(queue(), events)) / 1e9);
    const { value, baseline } = measure(
      quick ? 1 : 7,
      perSecond(() => new VirtualClock(Number.POSITIVE_INFINITY)),
      perSecond(() => new PlainQueue()),
    );
    const ratio = value / baseline;
    return {
      name: this.name,
      unit: "events/s",
      value: rounded(value),
      baseline: { name: "plain binary heap", value: rounded(baseline) },
      ratio: rounded(ratio),
      bar: BAR,
      ok: meets(BAR, value, ratio),
    };
  },
};

interface Queue {
  schedule(delayNs: number, run: () => void): unknown;
  run(): unknown;
}

function hold(queue: Queue, events: number): void {
  let left = events - WAITING;
  let state = 1;
  const distance = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % DISTANCE_NS_MAX;
  };
  const again = (): void => {
    if (left-- > 0) {
      queue.schedule(distance(), again);
    }
  };
  for (let index = 0; index < WAITING; index++) {
    queue.schedule(distance(), again);
  }
  queue.run();
}

interface PlainEvent {
  readonly timeNs: number;
  readonly sequence: number;
  readonly run: () => void;
}

const isBefore = (one: PlainEvent, other: PlainEvent): boolean =>
  one.timeNs < other.timeNs || (one.timeNs === other.timeNs && one.sequence < other.sequence);

class PlainQueue implements Queue {
  readonly #heap: PlainEvent[] = [];
  #nowNs = 0;
  #sequence = 0;

  schedule(delayNs: number, run: () => void): void {
    const heap = this.#heap;
    let place = heap.length;
    heap.push({ timeNs: this.#nowNs + delayNs, sequence: this.#sequence++, run });
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(heap[place] as PlainEvent, heap[parent] as PlainEvent)) {
        break;
      }
      this.#swap(place, parent);
      place = parent;
    }
  }

  run(): void {
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      this.#nowNs = next.timeNs;
      next.run();
    }
  }

  #take(): PlainEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length > 0 && last !== undefined) {
      heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #sink(): void {
    const heap = this.#heap;
    for (let place = 0; ; ) {
      const left = 2 * place + 1;
      let child = left;
      if (
        left + 1 < heap.length &&
        isBefore(heap[left + 1] as PlainEvent, heap[left] as PlainEvent)
      ) {
        child = left + 1;
      }
      if (child >= heap.length || !isBefore(heap[child] as PlainEvent, heap[place] as PlainEvent)) {
        return;
      }
      this.#swap(place, child);
      place = child;
    }
  }

  #swap(one: number, other: number): void {
    const kept = this.#heap[one] as PlainEvent;
    this.#heap[one] = this.#heap[other] as PlainEvent;
    this.#heap[other] = kept;
  }
}
