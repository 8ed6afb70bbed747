/**
 * DMA ledger: every list of addresses that a device may use now, and what lies behind it.
 *
 * What a driver holds is a copy of the platform's list (as the kernel hands importers a copy under
 * DMABUF_DEBUG, since 7.0); when the mapping ends the copy is filled with poison, so that a cached
 * list leads nowhere instead of into somebody's memory.
 */
import {
  type Attachment,
  type Device,
  type Direction,
  type Fence,
  type Mapping,
  type PhysicalRanges,
  SegmentList,
} from "@peerbuf/core";
import { rangesOverlap } from "./host-ledger.ts";

/** What a dead list holds: the last page below 2^53, which no platform maps. */
export const POISON_ADDRESS: number = 2 ** 53 - 4096;

export interface LiveList {
  readonly client: Device;
  /** What the driver holds. */
  readonly segments: SegmentList;
  /** What the platform made. */
  readonly made: SegmentList;
  readonly ranges: PhysicalRanges;
  readonly direction: Direction;
  /** A driver's own mapping; `undefined` for one that core made. */
  readonly owner: string | undefined;
  readonly origin: string | undefined;
  /** Who holds it: known once it is a mapping of an attachment. */
  holder: ListHolder | undefined;
  /** The bytes are there when it signals. */
  ready: Fence | undefined;
  /** Device work that runs on it now. */
  running: number;
  /** Some of it has begun without a fence of its holder on the reservation. */
  isUnannounced: boolean;
}

/** The importer behind a list, and the reservation of the buffer it leads to. */
export interface ListHolder {
  readonly attachment: Attachment;
  readonly importer: string;
  /** Who ran when it was mapped: the driver, or the one who drives it. */
  readonly actor: string;
  readonly exporter: string;
  readonly reservation: string;
  readonly mapping: Mapping;
  isUnmapped: boolean;
  /** It has put a fence on this reservation since it mapped. */
  publishes: boolean;
  /** The last fence that was published when the importer was told to let go. */
  invalidatedAt: number;
}

type Fact = "client" | "made" | "ranges" | "direction" | "owner" | "origin";

export class DmaLedger {
  readonly #live = new Map<SegmentList, LiveList>();
  readonly #inUse = new Map<SegmentList, LiveList>();
  readonly #ended = new WeakMap<SegmentList, LiveList>();

  /** The entry of a new mapping, with the copy that goes to the driver. */
  add(facts: Pick<LiveList, Fact>): LiveList {
    const { made } = facts;
    const segments = new SegmentList(made.table.slice(), made.sizeBytes);
    const fresh = { holder: undefined, ready: undefined, running: 0, isUnannounced: false };
    const entry: LiveList = { ...facts, segments, ...fresh };
    this.#live.set(segments, entry);
    this.#inUse.set(made, entry);
    return entry;
  }

  isLive(made: SegmentList): boolean {
    return this.#inUse.has(made);
  }

  find(segments: SegmentList): LiveList | undefined {
    return this.#live.get(segments);
  }

  /** Over: what the driver still holds becomes poison. */
  end(entry: LiveList): void {
    this.#live.delete(entry.segments);
    this.#inUse.delete(entry.made);
    this.#ended.set(entry.segments, entry);
    poison(entry.segments);
  }

  /** What a list was that is over. */
  ended(segments: SegmentList): LiveList | undefined {
    return this.#ended.get(segments);
  }

  /** The list that a driver's own list was made from, by its first address. */
  behind(segments: SegmentList): LiveList | undefined {
    const first = segments.count > 0 ? segments.address(0) : -1;
    return [...this.#live.values()].find(({ made }) => segmentAt(made, first) >= 0);
  }

  /** Who holds lists of buffers with this reservation. */
  holdersOn(reservation: string | undefined): ListHolder[] {
    const holders = [...this.#live.values()].flatMap(({ holder }) => holder ?? []);
    return holders.filter((holder) => holder.reservation === reservation);
  }

  /** Lists that devices work on now. */
  running(): LiveList[] {
    return [...this.#live.values()].filter((entry) => entry.running > 0);
  }

  /** Those of them whose work nobody was told of. */
  unannounced(): LiveList[] {
    return this.running().filter(({ isUnannounced }) => isUnannounced);
  }

  /** Lists of one attachment. */
  heldBy(attachment: Attachment): LiveList[] {
    return [...this.#live.values()].filter(({ holder }) => holder?.attachment === attachment);
  }

  /** Lists through which a device could reach this memory. */
  reaching(ranges: PhysicalRanges): LiveList[] {
    return [...this.#live.values()].filter((entry) => rangesOverlap(entry.ranges, ranges));
  }

  ownedBy(owner: string): LiveList[] {
    return [...this.#live.values()].filter((entry) => entry.owner === owner);
  }

  /** Lists of this client that hold the address. */
  at(client: Device, address: number): LiveList[] {
    return this.of(client).filter((entry) => segmentAt(entry.made, address) >= 0);
  }

  of(client: Device): LiveList[] {
    return [...this.#live.values()].filter((entry) => entry.client === client);
  }

  /** May the CPU stand in for this device at a physical address? */
  reachesPhysical(client: Device, address: number): boolean {
    return this.of(client).some(({ ranges }) => holds(ranges, address));
  }
}

/** Has the driver written into its copy? */
export function isChanged({ segments, made }: LiveList): boolean {
  return segments.table.some((value, at) => value !== made.table[at]);
}

export function poison(segments: SegmentList): void {
  for (let at = 0; at < segments.table.length; at += 3) {
    segments.table[at] = POISON_ADDRESS;
  }
}

/** Index of the segment that holds the address, -1 for none. */
export function segmentAt(segments: SegmentList, address: number): number {
  for (let index = 0; index < segments.count; index++) {
    const start = segments.address(index);
    if (address >= start && address < start + segments.lengthBytes(index)) {
      return index;
    }
  }
  return -1;
}

/** The physical address behind an address of the list. */
export function physicalBehind({ made, ranges }: LiveList, address: number): number {
  const hit = segmentAt(made, address);
  let offset = address - made.address(hit);
  for (let index = 0; index < hit; index++) {
    offset += made.lengthBytes(index);
  }
  for (let index = 0; index < ranges.count; index++) {
    if (offset < ranges.lengthBytes(index)) {
      return ranges.start(index) + offset;
    }
    offset -= ranges.lengthBytes(index);
  }
  return -1;
}

function holds(ranges: PhysicalRanges, address: number): boolean {
  for (let index = 0; index < ranges.count; index++) {
    const start = ranges.start(index);
    if (address >= start && address < start + ranges.lengthBytes(index)) {
      return true;
    }
  }
  return false;
}
