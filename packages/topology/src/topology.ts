/**
 * Topology: the PCI functions of one machine and how they hang together.
 *
 * Immutable. A function is named by its row in the flat `table`; the methods here answer the usual
 * questions without building objects, except where a record is the answer. A changed machine is a
 * new topology: `withAcsControl` and `withFacts` share everything else, `records` feeds a `TopologyBuilder`.
 *
 * Not here: how captures are read (`readers/`), what the kernel concludes (`rules/`).
 */
import { InputError } from "@peerbuf/core";
import { formatBdf, parseBdf } from "./bdf.ts";
import { resizableBarsOfConfig } from "./capabilities.ts";
import type {
  AcsRecord,
  BarRecord,
  FunctionRecord,
  LinkRecord,
  ResizableBar,
  WindowKind,
  WindowRecord,
} from "./function-record.ts";
import {
  ACS_ABSENT,
  ACS_PRESENT,
  BAR_EXISTS,
  BAR_IO,
  BAR_PREFETCHABLE,
  BAR_SLOTS,
  BAR_UNASSIGNED,
  BAR_WIDE,
  type FunctionTable,
  isBridgeHeader,
  WINDOW_SLOTS,
} from "./function-table.ts";
import type { MachineFacts } from "./machine-facts.ts";
import { nearestNames } from "./nearest-names.ts";

/** A bus without a bridge above it: what Linux calls a host bridge, one a root bus. */
export interface RootBus {
  /** `dddd:bb`. */
  readonly id: string;
  readonly domain: number;
  readonly bus: number;
  /** Rows of the functions on this bus, in the kernel's bus list order: the first one names the host bridge. */
  readonly functions: Int32Array;
}

const WINDOW_KINDS: readonly WindowKind[] = ["io", "memory", "prefetchable"];

export class Topology {
  readonly facts: MachineFacts;
  readonly table: FunctionTable;
  /** In order of domain and bus. */
  readonly rootBuses: readonly RootBus[];
  /** Rows of the non-bridge functions, virtual functions included, in row order. */
  readonly endpoints: Int32Array;
  readonly #rowByBdf: ReadonlyMap<string, number>;

  /** For `TopologyBuilder`, which checks what is claimed here. */
  constructor(facts: MachineFacts, table: FunctionTable, rootBuses: readonly RootBus[]) {
    this.facts = facts;
    this.table = table;
    this.rootBuses = rootBuses;
    this.endpoints = Int32Array.from(table.bdf.keys()).filter((row) => !this.isBridge(row));
    this.#rowByBdf = new Map(table.bdf.map((bdf, row) => [bdf, row]));
  }

  /** Functions in the machine. */
  get count(): number {
    return this.table.count;
  }

  /** Row of a function by BDF, in any spelling (`13:00.0` is domain 0); -1 when there is none. */
  indexOf(bdf: string): number {
    const row = this.#rowByBdf.get(bdf);
    if (row !== undefined) {
      return row;
    }
    const parsed = parseBdf(bdf);
    return parsed === undefined ? -1 : (this.#rowByBdf.get(formatBdf(parsed)) ?? -1);
  }

  /** Row of a function by BDF. @throws InputError naming the nearest BDFs that exist. */
  require(bdf: string): number {
    const row = this.indexOf(bdf);
    if (row >= 0) {
      return row;
    }
    const near = nearestNames(bdf, this.table.bdf);
    throw new InputError({
      source: bdf,
      cause:
        parseBdf(bdf) === undefined
          ? "this is not a PCI address (domain:bus:device.function)"
          : `there is no such PCI function in ${this.facts.source}`,
      remedy: near.length === 0 ? "The machine has no PCI functions" : `Near: ${near.join(", ")}`,
    });
  }

  bdfOf(row: number): string {
    return this.table.bdf[row] as string;
  }

  /** Row of the bridge above, -1 on a root bus. */
  parentOf(row: number): number {
    return this.table.parent[row] as number;
  }

  /**
   * The kernel's notion of the bridge above (p2pdma.c `upstream_bridge`, 6.12): a virtual function
   * stands where its physical function stands. -1 on a root bus.
   */
  upstreamOf(row: number): number {
    const physical = this.table.physicalFunction[row] as number;
    return this.table.parent[physical < 0 ? row : physical] as number;
  }

  /** Rows on the bus below a bridge, in bus list order. A view: no copy is made. */
  childrenOf(row: number): Int32Array {
    const { childStart, children } = this.table;
    return children.subarray(childStart[row] as number, childStart[row + 1] as number);
  }

  rootBusOf(row: number): RootBus {
    return this.rootBuses[this.table.rootBus[row] as number] as RootBus;
  }

  /** True for PCI-to-PCI and CardBus bridges (header types 1 and 2); a host bridge function is none. */
  isBridge(row: number): boolean {
    return isBridgeHeader(this.table.headerType[row] as number);
  }

  /** Config space as captured, empty when none was. A view into the shared buffer. */
  configOf(row: number): Uint8Array {
    const { config, configOffset, configLength } = this.table;
    const start = configOffset[row] as number;
    return config.subarray(start, start + (configLength[row] as number));
  }

  /** ACS as a record, `"absent"`, or undefined where the capture does not say. */
  acsOf(row: number): AcsRecord | "absent" | undefined {
    const { acsState, acsCapability, acsControl, egress, egressOffset, egressLength } = this.table;
    if (acsState[row] !== ACS_PRESENT) {
      return acsState[row] === ACS_ABSENT ? "absent" : undefined;
    }
    const start = egressOffset[row] as number;
    return {
      capability: acsCapability[row] as number,
      control: acsControl[row] as number,
      egressVector: egress.subarray(start, start + (egressLength[row] as number)),
    };
  }

  /** BAR 0 to 5, or 6 for the ROM; undefined when the function has none there. */
  barOf(row: number, index: number): BarRecord | undefined {
    const slot = row * BAR_SLOTS + index;
    const flags = this.table.barFlags[slot] as number;
    if ((flags & BAR_EXISTS) === 0) {
      return undefined;
    }
    const size = this.table.barSize[slot] as number;
    return {
      index,
      start: this.table.barStart[slot] as number,
      ...(size > 0 && { size }),
      kind: (flags & BAR_IO) === 0 ? "memory" : "io",
      wide: (flags & BAR_WIDE) !== 0,
      prefetchable: (flags & BAR_PREFETCHABLE) !== 0,
      assigned: (flags & BAR_UNASSIGNED) === 0,
    };
  }

  /** The BARs that exist, in order. */
  barsOf(row: number): BarRecord[] {
    const bars: BarRecord[] = [];
    for (let index = 0; index < BAR_SLOTS; index++) {
      const bar = this.barOf(row, index);
      if (bar !== undefined) {
        bars.push(bar);
      }
    }
    return bars;
  }

  /** The open windows of a bridge. */
  windowsOf(row: number): WindowRecord[] {
    return WINDOW_KINDS.map((kind, slot) => ({
      kind,
      start: this.table.windowStart[row * WINDOW_SLOTS + slot] as number,
      size: this.table.windowSize[row * WINDOW_SLOTS + slot] as number,
    })).filter((window) => window.size > 0);
  }

  /** BARs that can be resized, empty when there are none, undefined where the capture does not say. */
  resizableBarsOf(row: number): readonly ResizableBar[] | undefined {
    return this.table.resizableBars.get(row) ?? resizableBarsOfConfig(this.configOf(row));
  }

  /** The same machine with other ACS control values on some functions that have ACS. */
  withAcsControl(controlByRow: ReadonlyMap<number, number>): Topology {
    const acsControl = this.table.acsControl.slice();
    for (const [row, control] of controlByRow) {
      acsControl[row] = control;
    }
    return new Topology(this.facts, { ...this.table, acsControl }, this.rootBuses);
  }

  /** The same machine with facts that the capture lacks, e.g. the CPU where /proc was not captured. */
  withFacts(facts: Partial<MachineFacts>): Topology {
    return new Topology({ ...this.facts, ...facts }, this.table, this.rootBuses);
  }

  /** One function as plain data, ready for a `TopologyBuilder`. */
  record(row: number): FunctionRecord {
    const { table } = this;
    const parent = this.parentOf(row);
    const physical = table.physicalFunction[row] as number;
    const acs = this.acsOf(row);
    const resizableBars = table.resizableBars.get(row);
    return {
      bdf: this.bdfOf(row),
      vendor: table.vendor[row] as number,
      device: table.device[row] as number,
      classCode: table.classCode[row] as number,
      headerType: table.headerType[row] as number,
      portType: table.portType[row] as number,
      parent: parent < 0 ? null : this.bdfOf(parent),
      rootBus: this.rootBusOf(row).id,
      ...(this.isBridge(row) && busNumbers(table, row)),
      ...(physical >= 0 && { physicalFunction: this.bdfOf(physical) }),
      bars: this.barsOf(row),
      windows: this.windowsOf(row),
      ...(resizableBars !== undefined && { resizableBars }),
      ...(acs !== undefined && { acs }),
      numaNode: table.numaNode[row] as number,
      link: link(table, row),
      driver: table.driver[row] as string,
      iommuGroup: table.iommuGroup[row] as number,
      config: this.configOf(row),
    };
  }

  /** Every function as plain data, in row order. */
  records(): FunctionRecord[] {
    return Array.from(this.table.bdf.keys(), (row) => this.record(row));
  }
}

function busNumbers(table: FunctionTable, row: number): Partial<FunctionRecord> {
  const secondaryBus = table.secondaryBus[row] as number;
  const subordinateBus = table.subordinateBus[row] as number;
  return {
    ...(secondaryBus > 0 && { secondaryBus }),
    ...(subordinateBus > 0 && { subordinateBus }),
  };
}

function link(table: FunctionTable, row: number): LinkRecord {
  return {
    speedMtps: table.linkSpeedMtps[row] as number,
    width: table.linkWidth[row] as number,
    speedMaxMtps: table.linkSpeedMaxMtps[row] as number,
    widthMax: table.linkWidthMax[row] as number,
  };
}
