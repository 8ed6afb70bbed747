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
}

/** The importer behind a list, and the reservation of the buffer it leads to. */
export interface ListHolder {
  readonly attachment: Attachment;
  readonly importer: string;
  /** Who ran when it was mapped: the driver, or the one who drives it. */
  readonly actor: string;
  readonly exporter: string;
  readonly reservation: string;
}

export class DmaLedger {
  readonly #live = new Map<SegmentList, LiveList>();
  readonly #inUse = new Map<SegmentList, LiveList>();

  /** The entry of a new mapping, with the copy that goes to the driver. */
  add(facts: Omit<LiveList, "segments" | "holder" | "ready" | "running">): LiveList {
    const { made } = facts;
    const segments = new SegmentList(made.table.slice(), made.sizeBytes);
    const entry: LiveList = { ...facts, segments, holder: undefined, ready: undefined, running: 0 };
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
    poison(entry.segments);
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
    return this.of(client).filter((entry) => segmentAt(entry.segments, address) >= 0);
  }

  of(client: Device): LiveList[] {
    return [...this.#live.values()].filter((entry) => entry.client === client);
  }

  /** May the CPU stand in for this device at a physical address? */
  reachesPhysical(client: Device, address: number): boolean {
    return this.of(client).some(({ ranges }) => holds(ranges, address));
  }
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
export function physicalBehind({ segments, ranges }: LiveList, address: number): number {
  let offset = 0;
  for (let index = 0; index < segmentAt(segments, address); index++) {
    offset += segments.lengthBytes(index);
  }
  offset += address - segments.address(segmentAt(segments, address));
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
