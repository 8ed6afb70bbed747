/**
 * Topology builder: function records in, a checked `Topology` out.
 *
 * The order of records on one bus is taken as the kernel's bus list order, which names the host
 * bridge. Records that contradict each other are refused as an `InputError` that names the function
 * and the cause; what a record leaves out stays unknown.
 *
 * Checks of a single record are in `record-check.ts`, of the tree they form in `tree-check.ts`.
 */
import { InputError } from "@peerbuf/core";
import { type Bdf, formatBdf, formatBus, parseBdf } from "./bdf.ts";
import { fillTable } from "./fill-table.ts";
import type { FunctionRecord } from "./function-record.ts";
import { factsNamed, type MachineFacts } from "./machine-facts.ts";
import { checkRecord } from "./record-check.ts";
import { type RootBus, Topology } from "./topology.ts";
import { checkTree } from "./tree-check.ts";

/** Functions in one machine, at most. The kernel itself has 65,536 a domain; large servers have about 2,000. */
export const FUNCTION_COUNT_MAX = 65_536;

/** A record in its place: what is not in the record itself. Rows are positions in the draft, -1 none. */
export interface PlacedRecord {
  readonly record: FunctionRecord;
  readonly bdf: string;
  readonly address: Bdf;
  readonly parent: number;
  readonly physicalFunction: number;
}

export class TopologyBuilder {
  readonly #facts: MachineFacts;
  readonly #records: FunctionRecord[] = [];
  readonly #addresses: Bdf[] = [];
  readonly #rowByBdf = new Map<string, number>();

  /** @param facts what is known of the machine, or a name for it, shown in errors */
  constructor(facts: MachineFacts | string) {
    this.#facts = typeof facts === "string" ? factsNamed(facts) : facts;
  }

  /** Adds one function. @throws InputError for a bad or repeated BDF, or a value out of range. */
  add(record: FunctionRecord): this {
    const address = parseBdf(record.bdf);
    if (address === undefined) {
      throw this.#refused(record.bdf, `"${record.bdf}" is not a PCI address`);
    }
    const bdf = formatBdf(address);
    if (this.#rowByBdf.has(bdf)) {
      throw this.#refused(bdf, "this function is given twice");
    }
    if (this.#records.length >= FUNCTION_COUNT_MAX) {
      throw this.#refused(bdf, `there are more than ${FUNCTION_COUNT_MAX} functions`);
    }
    const cause = checkRecord(record);
    if (cause !== undefined) {
      throw this.#refused(bdf, cause);
    }
    this.#rowByBdf.set(bdf, this.#records.length);
    this.#records.push(record);
    this.#addresses.push(address);
    return this;
  }

  /** The machine so far. @throws InputError when the functions do not form trees below root buses. */
  build(): Topology {
    const placed = this.#place();
    const { tree } = this.#facts;
    const problem = checkTree(placed, tree === "whole" || tree === "chains");
    if (problem !== undefined) {
      throw this.#refused(problem.bdf, problem.cause);
    }
    const rootIds = this.#rootBusIds(placed);
    const rootBuses = rootBusesOf(placed, rootIds);
    return new Topology(this.#facts, fillTable(placed, rootIds, rootBuses), rootBuses);
  }

  #place(): PlacedRecord[] {
    const bridgeByBus = this.#bridgesByBus();
    return this.#records.map((record, row) => {
      const address = this.#addresses[row] as Bdf;
      const bdf = formatBdf(address);
      const physicalFunction = this.#physicalRow(bdf, record);
      const parent = this.#parentRow(bdf, record, address, physicalFunction, bridgeByBus);
      return { record, bdf, address, parent, physicalFunction };
    });
  }

  #bridgesByBus(): Map<string, number> {
    const bridges = new Map<string, number>();
    this.#records.forEach((record, row) => {
      if (record.secondaryBus !== undefined && record.secondaryBus > 0) {
        bridges.set(formatBus((this.#addresses[row] as Bdf).domain, record.secondaryBus), row);
      }
    });
    return bridges;
  }

  #physicalRow(bdf: string, record: FunctionRecord): number {
    if (record.physicalFunction === undefined) {
      return -1;
    }
    const row = this.#rowOf(record.physicalFunction);
    if (row < 0) {
      throw this.#refused(
        bdf,
        `it is a virtual function of ${record.physicalFunction}, which is not there`,
      );
    }
    return row;
  }

  #parentRow(
    bdf: string,
    record: FunctionRecord,
    address: Bdf,
    physical: number,
    bridgeByBus: ReadonlyMap<string, number>,
  ): number {
    if (record.parent === null) {
      return -1;
    }
    if (record.parent === undefined) {
      const bus = physical < 0 ? address : (this.#addresses[physical] as Bdf);
      return bridgeByBus.get(formatBus(bus.domain, bus.bus)) ?? -1;
    }
    const row = this.#rowOf(record.parent);
    if (row < 0) {
      throw this.#refused(bdf, `it sits below bridge ${record.parent}, which is not there`);
    }
    return row;
  }

  #rowOf(bdf: string): number {
    const address = parseBdf(bdf);
    return address === undefined ? -1 : (this.#rowByBdf.get(formatBdf(address)) ?? -1);
  }

  /** The root bus of every row; those below bridges follow their parents. */
  #rootBusIds(placed: readonly PlacedRecord[]): string[] {
    return placed.map((start) => {
      let top = start;
      while (top.parent >= 0) {
        top = placed[top.parent] as PlacedRecord;
      }
      if (top.record.rootBus !== undefined) {
        return top.record.rootBus.toLowerCase();
      }
      const owner = top.physicalFunction < 0 ? top : (placed[top.physicalFunction] as PlacedRecord);
      return (
        owner.record.rootBus?.toLowerCase() ?? formatBus(owner.address.domain, owner.address.bus)
      );
    });
  }

  #refused(place: string, cause: string): InputError {
    return new InputError({
      source: this.#facts.source,
      place,
      cause,
      remedy: "Correct this function, or capture the machine again in one go",
    });
  }
}

/** A machine from records in one call; see `TopologyBuilder`. */
export function buildTopology(
  facts: MachineFacts | string,
  records: Iterable<FunctionRecord>,
): Topology {
  const builder = new TopologyBuilder(facts);
  for (const record of records) {
    builder.add(record);
  }
  return builder.build();
}

function rootBusesOf(placed: readonly PlacedRecord[], rootIds: readonly string[]): RootBus[] {
  const rowsById = new Map<string, number[]>();
  placed.forEach((place, row) => {
    const id = rootIds[row] as string;
    const rows = rowsById.get(id) ?? [];
    rowsById.set(id, rows);
    // A virtual function can sit on a virtual bus beside the root bus; it is not on the bus's list.
    if (place.parent < 0 && formatBus(place.address.domain, place.address.bus) === id) {
      rows.push(row);
    }
  });
  return Array.from(rowsById, ([id, rows]) => rootBus(id, rows)).sort(
    (one, other) => one.domain - other.domain || one.bus - other.bus,
  );
}

function rootBus(id: string, rows: readonly number[]): RootBus {
  const [domain = "", bus = ""] = id.split(":");
  return {
    id,
    domain: Number.parseInt(domain, 16),
    bus: Number.parseInt(bus, 16),
    functions: Int32Array.from(rows),
  };
}
