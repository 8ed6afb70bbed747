/**
 * Ground DMA: the DMA layer and the IOMMU of the light world.
 *
 * Every mapping gets addresses of its own that are never used again, so a device that goes on with old
 * ones is caught even where a newer mapping of the same bytes exists. A mapping is contiguous for its
 * device (as an IOMMU makes it) and is cut at the device's limits; with `isDirect` the addresses keep the
 * gaps of the memory behind them.
 */
import {
  type Device,
  type Direction,
  type DmaAddress,
  type DmaLayer,
  type DmaRefusal,
  type DmaRequest,
  deviceReads,
  deviceWrites,
  type PhysicalAddress,
  PhysicalRanges,
  SegmentList,
  segmentsAtOffset,
} from "@peerbuf/core";

/** Bytes of one mapping, as one device sees them. */
export interface Window {
  readonly client: Device;
  readonly start: number;
  readonly spanBytes: number;
  readonly ranges: PhysicalRanges;
  readonly segments: SegmentList;
  /** Where each range starts for the device. */
  readonly starts: readonly number[];
  readonly direction: Direction;
  isLive: boolean;
}

/** What an address leads to. */
export type Lookup =
  | { readonly found: "nothing" | "dead" | "direction" }
  | { readonly found: "memory"; readonly window: Window };

/** The first address that a device is ever given, unless a world begins elsewhere. */
const FIRST_ADDRESS = 0x10_0000;
const GAP_BYTES = 0x1_0000;

/** The world around it. */
export interface DmaHost {
  /** A reason to refuse this one; asked before anything is taken. */
  refusal(request: DmaRequest): DmaRefusal | undefined;
  mapped(client: Device): void;
  unmapped(client: Device): void;
  /** `unmap` of a list that is not mapped. */
  strayUnmap(client: Device): void;
}

export class GroundDma implements DmaLayer {
  readonly name: string = "ground-iommu";
  readonly #windows: Window[] = [];
  readonly #host: DmaHost;
  readonly #isDirect: boolean;
  #next: number;
  #liveCount = 0;

  constructor(isDirect: boolean, host: DmaHost, firstAddress: number = FIRST_ADDRESS) {
    this.#isDirect = isDirect;
    this.#next = firstAddress;
    this.#host = host;
  }

  /** Mappings made and not yet given back. */
  get liveCount(): number {
    return this.#liveCount;
  }

  map(request: DmaRequest): SegmentList | DmaRefusal {
    const { client, ranges, route, direction, limits } = request;
    const refused = this.#host.refusal(request);
    if (refused !== undefined) {
      return refused;
    }
    const start = this.#next;
    const placed = this.#placed(ranges, start);
    const segments = segmentsAtOffset(placed, 0, limits, route === "bus-addr");
    if (!(segments instanceof SegmentList)) {
      return { answer: "refused", errno: "EIO", code: segments.code, text: segments.text };
    }
    const spanBytes = endOf(placed) - start;
    this.#next = start + Math.ceil((spanBytes + 1) / GAP_BYTES) * GAP_BYTES;
    this.#windows.push({
      client,
      start,
      spanBytes,
      ranges,
      segments,
      starts: startsOf(ranges, placed),
      direction,
      isLive: true,
    });
    this.#liveCount++;
    this.#host.mapped(client);
    return segments;
  }

  unmap(client: Device, segments: SegmentList): void {
    const window = this.#windowOf(segments);
    if (window?.isLive !== true || window.client !== client) {
      this.#host.strayUnmap(client);
      return;
    }
    window.isLive = false;
    this.#liveCount--;
    this.#host.unmapped(client);
  }

  /** What `client` hits at this address. */
  look(client: Device, address: number, lengthBytes: number, kind: "read" | "write"): Lookup {
    for (const window of this.#windows) {
      if (window.client === client && isWithin(window, address, lengthBytes)) {
        if (!window.isLive) {
          return { found: "dead" };
        }
        const allowed = kind === "read" ? deviceReads : deviceWrites;
        return allowed(window.direction) ? { found: "memory", window } : { found: "direction" };
      }
    }
    return { found: "nothing" };
  }

  #windowOf(segments: SegmentList): Window | undefined {
    for (const window of this.#windows) {
      if (window.segments === segments) {
        return window;
      }
    }
    return undefined;
  }

  /** The ranges as the device will see them, one after the other or with their gaps. */
  #placed(ranges: PhysicalRanges, start: number): PhysicalRanges {
    if (ranges.count === 1 || !this.#isDirect) {
      return PhysicalRanges.of(start as PhysicalAddress, ranges.sizeBytes);
    }
    const table = Float64Array.from(ranges.table);
    const lowest = Math.min(...ranges.table.filter((_value, index) => index % 2 === 0));
    for (let at = 0; at < table.length; at += 2) {
      table[at] = (table[at] as number) - lowest + start;
    }
    return new PhysicalRanges(table);
  }
}

/** Ranges come in any order: the last one need not be the highest. */
function endOf(ranges: PhysicalRanges): number {
  let end = 0;
  for (let index = 0; index < ranges.count; index++) {
    end = Math.max(end, ranges.start(index) + ranges.lengthBytes(index));
  }
  return end;
}

/** Calls for each part of a device's access that lies in one physical range; false stops it. */
export function eachPart(
  window: Window,
  address: DmaAddress,
  lengthBytes: number,
  visit: (physical: number, at: number, length: number) => boolean,
): boolean {
  let at = 0;
  while (at < lengthBytes) {
    const index = rangeOf(window, address + at);
    if (index < 0) {
      return false;
    }
    const inRange = address + at - (window.starts[index] as number);
    const length = Math.min(lengthBytes - at, window.ranges.lengthBytes(index) - inRange);
    if (!visit(window.ranges.start(index) + inRange, at, length)) {
      return false;
    }
    at += length;
  }
  return true;
}

function rangeOf({ starts, ranges }: Window, address: number): number {
  for (let index = 0; index < starts.length; index++) {
    const start = starts[index] as number;
    if (address >= start && address < start + ranges.lengthBytes(index)) {
      return index;
    }
  }
  return -1;
}

function startsOf(ranges: PhysicalRanges, placed: PhysicalRanges): number[] {
  const starts: number[] = [];
  let next = placed.start(0);
  for (let index = 0; index < ranges.count; index++) {
    starts.push(placed.count === ranges.count ? placed.start(index) : next);
    next = (next + ranges.lengthBytes(index)) as PhysicalAddress;
  }
  return starts;
}

const isWithin = ({ start, spanBytes }: Window, address: number, lengthBytes: number): boolean =>
  address >= start && address + lengthBytes <= start + spanBytes;
