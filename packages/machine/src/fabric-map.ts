/**
 * Fabric map: the buses of a captured machine and who claims which addresses on each.
 *
 * Made from config space alone: BARs and bridge windows. A BAR outside of the windows above it is
 * unreachable, as on the real machine. All addresses are as the CPU sees them. Only functions that are
 * there and whose memory is enabled claim anything; who that is changes, addresses do not.
 *
 * I/O ports are not modelled.
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
  /** Row of the bridge above. */
  readonly bridge: number;
  readonly claims: DecodeTable<FunctionClaim>;
}

/** Who would answer between two addresses, -1 for nobody. */
interface Silent {
  readonly row: number;
  readonly from: number;
  readonly until: number;
}

/** Stands for all root buses together. */
const ROOT = -1;

export class FabricMap {
  readonly topology: Topology;
  /** Every memory BAR that has an address and a size. */
  readonly slots: readonly BarSlot[];
  readonly #ram: readonly RamClaim[];
  /** Of everybody on the bus below each bridge, enabled or not; `ROOT` holds those of all root buses. */
  readonly #byBridge: ReadonlyMap<number, readonly FunctionClaim[]>;
  readonly #claims: (row: number) => boolean;
  /** Bus below each bridge, by row; undefined for endpoints. */
  readonly #below: (Bus | undefined)[];
  #rootComplex: DecodeTable<FunctionClaim | RamClaim>;

  /** `claims`: does this function answer for its addresses now? Asked again by `update`. */
  constructor(topology: Topology, banks: readonly Bank[], claims: (row: number) => boolean) {
    this.topology = topology;
    this.slots = memoryBars(topology);
    this.#ram = banks.map((bank) => ({ kind: "ram", start: bank.start, end: bank.end, bank }));
    this.#byBridge = claimsByBridge(topology, this.slots);
    this.#claims = claims;
    this.#below = Array.from({ length: topology.count }, (_, row) =>
      topology.isBridge(row) ? { bridge: row, claims: this.#claimsBelow(row) } : undefined,
    );
    this.#rootComplex = this.#rootClaims();
  }

  /** What the root complex sees: RAM, and the functions of all root buses. */
  get rootComplex(): DecodeTable<FunctionClaim | RamClaim> {
    return this.#rootComplex;
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

  /** These functions answer for their addresses now, or no longer. */
  update(rows: Iterable<number>): void {
    const bridges = new Set(Array.from(rows, (row) => this.topology.upstreamOf(row)));
    for (const bridge of bridges) {
      if (bridge < 0) {
        this.#rootComplex = this.#rootClaims();
      } else {
        this.#below[bridge] = { bridge, claims: this.#claimsBelow(bridge) };
      }
    }
  }

  /** Who would claim the address below a bridge (-1: on a root bus) if it were enabled, and for which stretch. */
  silentAt(bridge: number, address: number): Silent {
    const found = { row: -1, from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY };
    for (const { row, start, end } of this.#byBridge.get(bridge) ?? []) {
      if (this.#claims(row) || start === end) {
        continue;
      }
      if (start > address) {
        found.until = Math.min(found.until, start);
      } else if (end <= address) {
        found.from = Math.max(found.from, end);
      } else {
        found.row = row;
        found.from = Math.max(found.from, start);
        found.until = Math.min(found.until, end);
      }
    }
    return found;
  }

  #claimsBelow(bridge: number): DecodeTable<FunctionClaim> {
    return new DecodeTable(this.#enabled(bridge));
  }

  #rootClaims(): DecodeTable<FunctionClaim | RamClaim> {
    return new DecodeTable<FunctionClaim | RamClaim>([...this.#ram, ...this.#enabled(ROOT)]);
  }

  #enabled(bridge: number): FunctionClaim[] {
    return (this.#byBridge.get(bridge) ?? []).filter(({ row }) => this.#claims(row));
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

/** Claims on the bus below each bridge, by the bridge's row. */
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
