/**
 * Fabric map: the buses of a captured machine and who claims which addresses on each.
 *
 * Made from config space alone: BARs and bridge windows. A BAR outside of the windows above it is
 * unreachable, as on the real machine. All addresses are as the CPU sees them.
 *
 * Taken as given: drivers have enabled memory decoding and bus mastering on the way (the MEM and
 * MASTER bits of a capture say only which drivers were loaded), and I/O ports are not modelled.
 */
import {
  BAR_EXISTS,
  BAR_IO,
  BAR_PREFETCHABLE,
  BAR_ROM,
  BAR_SLOTS,
  BAR_UNASSIGNED,
  type Topology,
  WINDOW_IO,
  WINDOW_SLOTS,
} from "@peerbuf/topology";
import { BarSlot } from "./bar-slot.ts";
import { type Claim, DecodeTable } from "./decode-table.ts";
import type { Bank } from "./host-memory.ts";

/** A function answers for a range: itself with a BAR, or as a bridge for what is below. */
export interface FunctionClaim extends Claim {
  readonly kind: "function";
  readonly row: number;
  /** The BAR; undefined for a bridge window. */
  readonly slot: BarSlot | undefined;
}

/** The root complex answers for RAM itself. */
export interface RamClaim extends Claim {
  readonly kind: "ram";
  readonly bank: Bank;
}

export interface Bus {
  /** Row of the bridge above, -1 for a root bus. */
  readonly bridge: number;
  readonly claims: DecodeTable<FunctionClaim>;
}

export class FabricMap {
  readonly topology: Topology;
  /** What the root complex sees: RAM, and the functions of all root buses. */
  readonly rootComplex: DecodeTable<FunctionClaim | RamClaim>;
  /** Every memory BAR that has an address and a size. */
  readonly slots: readonly BarSlot[];
  /** Bus below each bridge, by row; undefined for endpoints. */
  readonly #below: (Bus | undefined)[];

  constructor(topology: Topology, banks: readonly Bank[]) {
    this.topology = topology;
    this.slots = memoryBars(topology);
    const byBridge = claimsByBridge(topology, this.slots);
    const ram = banks.map(
      (bank): RamClaim => ({ kind: "ram", start: bank.start, end: bank.end, bank }),
    );
    this.rootComplex = new DecodeTable<FunctionClaim | RamClaim>([
      ...ram,
      ...(byBridge.get(-1) ?? []),
    ]);
    this.#below = Array.from({ length: topology.count }, (_, row) =>
      topology.isBridge(row)
        ? { bridge: row, claims: new DecodeTable(byBridge.get(row) ?? []) }
        : undefined,
    );
  }

  /** The bus on which a function issues its requests; undefined on a root bus. A VF issues from its PF's place. */
  busOf(row: number): Bus | undefined {
    const bridge = this.topology.upstreamOf(row);
    return bridge < 0 ? undefined : this.#below[bridge];
  }

  /** The bus below a bridge. */
  busBelow(row: number): Bus | undefined {
    return this.#below[row];
  }
}

function memoryBars(topology: Topology): BarSlot[] {
  const { barStart, barSize, barFlags } = topology.table;
  const slots: BarSlot[] = [];
  for (let at = 0; at < topology.count * BAR_SLOTS; at++) {
    const flags = barFlags[at] as number;
    const index = at % BAR_SLOTS;
    const size = barSize[at] as number;
    const usable = (flags & (BAR_EXISTS | BAR_IO | BAR_UNASSIGNED)) === BAR_EXISTS && size > 0;
    if (usable && index !== BAR_ROM) {
      const row = (at - index) / BAR_SLOTS;
      const prefetchable = (flags & BAR_PREFETCHABLE) !== 0;
      slots.push(new BarSlot(row, index, barStart[at] as number, size, prefetchable));
    }
  }
  return slots;
}

/** Claims on the bus below each bridge, by the bridge's row; -1 holds those of all root buses. */
function claimsByBridge(
  topology: Topology,
  slots: readonly BarSlot[],
): ReadonlyMap<number, FunctionClaim[]> {
  const byBridge = new Map<number, FunctionClaim[]>();
  const add = (row: number, start: number, size: number, slot: BarSlot | undefined): void => {
    const bridge = topology.upstreamOf(row);
    const claims = byBridge.get(bridge) ?? [];
    byBridge.set(bridge, claims);
    claims.push({ kind: "function", row, start, end: start + size, slot });
  };
  for (const slot of slots) {
    add(slot.row, slot.start, slot.sizeBytes, slot);
  }
  const { windowStart, windowSize } = topology.table;
  for (let at = 0; at < topology.count * WINDOW_SLOTS; at++) {
    if (at % WINDOW_SLOTS !== WINDOW_IO) {
      add(
        Math.floor(at / WINDOW_SLOTS),
        windowStart[at] as number,
        windowSize[at] as number,
        undefined,
      );
    }
  }
  return byBridge;
}
