/**
 * Carried bytes: what bridges and the root complex passed on while something ran.
 *
 * The machine's own counters, taken before and after: evidence of the way that does not come from
 * those who chose it.
 */
import type { Machine } from "@peerbuf/machine";

/** As the machine's instruments call it. */
export const ROOT_COMPLEX = "root complex";

export interface Carried {
  /** A bridge (BDF) or `root complex`. */
  readonly at: string;
  readonly bytes: number;
}

export class CarriedBytes {
  readonly #machine: Machine;
  readonly #places: readonly string[];
  readonly #before: readonly number[];
  readonly #lostBefore: number;

  /** Starts counting now. */
  constructor(machine: Machine) {
    const { topology } = machine;
    this.#machine = machine;
    const rows = Array.from({ length: topology.count }, (_, row) => row);
    const bridges = rows.filter((row) => topology.isBridge(row)).map((row) => topology.bdfOf(row));
    this.#places = [...bridges, ROOT_COMPLEX];
    this.#before = this.#counts();
    this.#lostBefore = machine.inspect.totalTraffic().lostBytes;
  }

  /** Who passed anything on since the start, and how much. */
  get passed(): Carried[] {
    return this.#counts()
      .map((count, index) => ({
        at: this.#places[index] as string,
        bytes: count - (this.#before[index] as number),
      }))
      .filter(({ bytes }) => bytes > 0);
  }

  /** Bytes of requests that reached nothing since the start. */
  get lostBytes(): number {
    return this.#machine.inspect.totalTraffic().lostBytes - this.#lostBefore;
  }

  #counts(): number[] {
    return this.#places.map((place) => this.#machine.inspect.passedBytes(place));
  }
}
