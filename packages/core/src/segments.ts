/**
 * Segment list: what a device is given to reach a buffer, in buffer order.
 *
 * The scatter list of dma-buf, without page structs: importers see addresses and lengths only. One
 * flat table, three numbers a segment; `isBusAddress` tells per segment whether the traffic turns
 * round below the root complex (Linux: SG_DMA_BUS_ADDRESS), so lists may mix.
 */
import type { DmaAddress } from "./address.ts";
import type { DmaLimits } from "./dma-limits.ts";
import type { PhysicalRanges } from "./ranges.ts";

const STRIDE = 3;

/** Most segments in one list, whatever a device takes: 16 GiB in pages, and 100 MB of table. */
export const SEGMENTS_MAX: number = 2 ** 22;

export class SegmentList {
  readonly count: number;
  readonly sizeBytes: number;
  /** [address, lengthBytes, isBusAddress ? 1 : 0] a segment. Read it; only the DMA layer makes it. */
  readonly table: Float64Array;

  constructor(table: Float64Array, sizeBytes: number) {
    this.table = table;
    this.count = table.length / STRIDE;
    this.sizeBytes = sizeBytes;
  }

  address(index: number): DmaAddress {
    return this.table[STRIDE * index] as DmaAddress;
  }

  lengthBytes(index: number): number {
    return this.table[STRIDE * index + 1] as number;
  }

  isBusAddress(index: number): boolean {
    return this.table[STRIDE * index + 2] === 1;
  }
}

/** Why a device cannot be given these ranges; the errno is what `dma_map_sgtable` would return (6.12). */
export interface SegmentRefusal {
  readonly code: "ADDRESS_ABOVE_MASK" | "ALIGNMENT" | "SEGMENT_COUNT";
  readonly text: string;
}

/**
 * Turns physical ranges into segments by adding `offset`, merging neighbours that touch and cutting
 * at the limits. Used by platforms whose DMA addresses are a fixed distance from physical ones.
 */
export function segmentsAtOffset(
  ranges: PhysicalRanges,
  offset: number,
  limits: DmaLimits,
  isBusAddress: boolean,
): SegmentList | SegmentRefusal {
  return ranges.count === 1
    ? oneRange(ranges, offset, limits, isBusAddress)
    : manyRanges(ranges, offset, limits, isBusAddress);
}

/** The common case, contiguous memory that needs no cut: one table, no growing. */
function oneRange(
  ranges: PhysicalRanges,
  offset: number,
  limits: DmaLimits,
  isBusAddress: boolean,
): SegmentList | SegmentRefusal {
  const address = ranges.start(0) + offset;
  const length = ranges.sizeBytes;
  if (room(address, limits) < length) {
    return manyRanges(ranges, offset, limits, isBusAddress);
  }
  const refused = refusal(address, length, 1, limits);
  if (refused !== undefined) {
    return refused;
  }
  // Three stores: `Float64Array.of` takes ten times as long.
  const table = new Float64Array(STRIDE);
  table[0] = address;
  table[1] = length;
  table[2] = isBusAddress ? 1 : 0;
  return new SegmentList(table, length);
}

function manyRanges(
  ranges: PhysicalRanges,
  offset: number,
  limits: DmaLimits,
  isBusAddress: boolean,
): SegmentList | SegmentRefusal {
  const rows: number[] = [];
  for (let index = 0; index < ranges.count; index++) {
    const address = ranges.start(index) + offset;
    const refused = append(rows, address, ranges.lengthBytes(index), limits, isBusAddress);
    if (refused !== undefined) {
      return refused;
    }
  }
  return new SegmentList(Float64Array.from(rows), ranges.sizeBytes);
}

/** Adds one range: first to the segment before it if they touch, then in segments of its own. */
function append(
  rows: number[],
  start: number,
  lengthBytes: number,
  limits: DmaLimits,
  isBusAddress: boolean,
): SegmentRefusal | undefined {
  const grownBytes = growLast(rows, start, lengthBytes, limits);
  let address = start + grownBytes;
  let left = lengthBytes - grownBytes;
  while (left > 0) {
    const length = Math.min(left, room(address, limits));
    const refused = refusal(address, length, rows.length / STRIDE + 1, limits);
    if (refused !== undefined) {
      return refused;
    }
    rows.push(address, length, isBusAddress ? 1 : 0);
    address += length;
    left -= length;
  }
  return undefined;
}

/** How many bytes of a range that starts at `start` fit behind the last segment. */
function growLast(rows: number[], start: number, lengthBytes: number, limits: DmaLimits): number {
  const last = rows.length - STRIDE;
  if (last < 0) {
    return 0;
  }
  const address = rows[last] as number;
  const length = rows[last + 1] as number;
  if (address + length !== start || start + lengthBytes - 1 > limits.addressMax) {
    return 0;
  }
  const grownBytes = Math.min(lengthBytes, room(address, limits) - length);
  rows[last + 1] = length + grownBytes;
  return grownBytes;
}

/** How long a segment that starts here may be. */
function room(address: number, limits: DmaLimits): number {
  const boundary = limits.boundaryBytes;
  const toBoundary = boundary === 0 ? Number.POSITIVE_INFINITY : boundary - (address % boundary);
  return Math.min(limits.segmentBytesMax, toBoundary);
}

function refusal(
  address: number,
  length: number,
  count: number,
  limits: DmaLimits,
): SegmentRefusal | undefined {
  if (address + length - 1 > limits.addressMax) {
    return {
      code: "ADDRESS_ABOVE_MASK",
      text: `the buffer reaches 0x${(address + length - 1).toString(16)}, the device addresses up to 0x${limits.addressMax.toString(16)}`,
    };
  }
  if (address % limits.alignmentBytes !== 0) {
    return {
      code: "ALIGNMENT",
      text: `a segment starts at 0x${address.toString(16)}, the device wants multiples of ${limits.alignmentBytes} bytes`,
    };
  }
  if (count > limits.segmentCountMax || count > SEGMENTS_MAX) {
    const [most, whose] =
      limits.segmentCountMax <= SEGMENTS_MAX
        ? [limits.segmentCountMax, "that the device takes"]
        : [SEGMENTS_MAX, "that a list can have"];
    return {
      code: "SEGMENT_COUNT",
      text: `the buffer needs more than the ${most} segments ${whose}`,
    };
  }
  return undefined;
}
