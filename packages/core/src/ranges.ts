/**
 * Physical ranges: where the bytes of a buffer lie, as the CPU sees them.
 *
 * A flat table of [start, length] pairs in buffer order, so that handing one over costs nothing and
 * walking it allocates nothing. Immutable once made: an exporter keeps one for as long as the
 * placement lasts and gives the same object to every mapping.
 */
import type { PhysicalAddress } from "./address.ts";
import { PeerbufError } from "./error.ts";

export class PhysicalRanges {
  readonly count: number;
  readonly sizeBytes: number;
  /** [start0, length0, start1, length1, ...] in bytes. */
  readonly table: Float64Array;

  /** Takes the table over. Starts and lengths must be whole numbers of bytes, lengths positive. */
  constructor(table: Float64Array) {
    this.table = table;
    this.count = table.length / 2;
    this.sizeBytes = checkedSize(table);
  }

  /** One contiguous range. */
  static of(start: PhysicalAddress, lengthBytes: number): PhysicalRanges {
    const table = new Float64Array(2); // Two stores: `Float64Array.of` takes ten times as long.
    table[0] = start;
    table[1] = lengthBytes;
    return new PhysicalRanges(table);
  }

  start(index: number): PhysicalAddress {
    return this.table[2 * index] as PhysicalAddress;
  }

  lengthBytes(index: number): number {
    return this.table[2 * index + 1] as number;
  }
}

function checkedSize(table: Float64Array): number {
  let sizeBytes = 0;
  for (let at = 0; at + 1 < table.length; at += 2) {
    const start = table[at] as number;
    const length = table[at + 1] as number;
    const end = start + length;
    if (!(start >= 0 && length > 0 && Number.isSafeInteger(start) && Number.isSafeInteger(end))) {
      throw new PeerbufError("ADDRESS_INVALID", `range ${at / 2} is ${start} + ${length} bytes`);
    }
    sizeBytes += length;
  }
  return sizeBytes;
}
