/**
 * Carried bytes: what bridges and root complexes passed on while something ran.
 *
 * The machines' own counters, taken before and after: evidence of the way that does not come from
 * those who chose it.
 */
import type { Machine } from "@peerbuf/machine";
import { joinPlace } from "../scenario/place-name.ts";
import type { Site } from "./site.ts";

/** As the machine's instruments call it. */
export const ROOT_COMPLEX = "root complex";

export interface Carried {
  /** A bridge (BDF) or `root complex`, behind `machine/` where machines have names. */
  readonly at: string;
  readonly bytes: number;
}

export class CarriedBytes {
  readonly #machines: readonly MachineCounters[];

  /** Starts counting now. */
  constructor(sites: readonly Site[]) {
    this.#machines = sites.map(({ name, machine }) => new MachineCounters(name, machine));
  }

  /** Who passed anything on since the start, and how much. */
  get passed(): Carried[] {
    return this.#machines.flatMap((machine) => machine.passed);
  }

  /** Bytes of requests that reached nothing since the start. */
  get lostBytes(): number {
    return this.#machines.reduce((sum, { lostBytes }) => sum + lostBytes, 0);
  }
}

class MachineCounters {
  readonly #name: string;
  readonly #machine: Machine;
  readonly #places: readonly string[];
  readonly #before: readonly number[];
  readonly #lostBefore: number;

  constructor(name: string, machine: Machine) {
    const { topology } = machine;
    this.#name = name;
    this.#machine = machine;
    const rows = Array.from({ length: topology.count }, (_, row) => row);
    const bridges = rows.filter((row) => topology.isBridge(row)).map((row) => topology.bdfOf(row));
    this.#places = [...bridges, ROOT_COMPLEX];
    this.#before = this.#counts();
    this.#lostBefore = machine.inspect.totalTraffic().lostBytes;
  }

  get passed(): Carried[] {
    return this.#counts()
      .map((count, index) => ({
        at: joinPlace(this.#name, this.#places[index] as string),
        bytes: count - (this.#before[index] as number),
      }))
      .filter(({ bytes }) => bytes > 0);
  }

  get lostBytes(): number {
    return this.#machine.inspect.totalTraffic().lostBytes - this.#lostBefore;
  }

  #counts(): number[] {
    return this.#places.map((place) => this.#machine.inspect.passedBytes(place));
  }
}
