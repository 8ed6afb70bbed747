/**
 * Carried bytes: what bridges and root complexes passed on while something ran.
 *
 * The machines' own counters, taken before and after: evidence of the way that does not come from
 * those who chose it.
 */
import type { Machine } from "@peerbuf/machine";
import { joinPlace } from "../scenario/place-name.ts";
import type { Site } from "./site.ts";
import type { TracedPlatform } from "./traced-platform.ts";

/** As the machine's instruments call it. */
export const ROOT_COMPLEX = "root complex";

export interface Carried {
  /** A bridge (BDF) or `root complex`, behind `machine/` where machines have names. */
  readonly at: string;
  readonly bytes: number;
}

/** What host memory of one machine had to do with it. */
export interface HostMemoryUse {
  /** Left out where there is only one. */
  readonly machine?: string;
  /** Bytes that requests of devices took from it and put there: data, queues and completions alike. */
  readonly deviceBytes: number;
  /** Bytes that drivers copied to or from it on the processors. */
  readonly processorBytes: number;
}

export class CarriedBytes {
  readonly #machines: readonly MachineCounters[];

  /** Starts counting now. */
  constructor(sites: readonly Site[]) {
    this.#machines = sites.map((site) => new MachineCounters(site));
  }

  /** Who passed anything on since the start, and how much. */
  get passed(): Carried[] {
    return this.#machines.flatMap((machine) => machine.passed);
  }

  get hostMemory(): HostMemoryUse[] {
    return this.#machines.map((machine) => machine.hostMemory);
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
  readonly #traced: TracedPlatform;
  readonly #devicesBefore: number;
  readonly #processorsBefore: number;

  constructor({ name, machine, traced }: Site) {
    const { topology } = machine;
    this.#name = name;
    this.#machine = machine;
    this.#traced = traced;
    this.#devicesBefore = this.#deviceBytes();
    this.#processorsBefore = traced.processorBytes;
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

  get hostMemory(): HostMemoryUse {
    return {
      ...(this.#name !== "" && { machine: this.#name }),
      deviceBytes: this.#deviceBytes() - this.#devicesBefore,
      processorBytes: this.#traced.processorBytes - this.#processorsBefore,
    };
  }

  #deviceBytes(): number {
    const { readBytes, writtenBytes } = this.#machine.inspect.memoryTraffic();
    return readBytes + writtenBytes;
  }

  #counts(): number[] {
    return this.#places.map((place) => this.#machine.inspect.passedBytes(place));
  }
}
