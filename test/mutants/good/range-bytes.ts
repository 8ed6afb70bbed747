/** Range bytes: the CPU's way to the bytes of scattered ranges, in host memory or behind a BAR. */
import type { PhysicalAddress, PhysicalRanges } from "@peerbuf/core";

/** Whatever reads and writes bytes at a physical address. */
export interface ByteAccess {
  read(address: PhysicalAddress, target: Uint8Array): void;
  write(address: PhysicalAddress, source: Uint8Array): void;
}

export function readRanges(
  memory: ByteAccess,
  ranges: PhysicalRanges,
  offset: number,
  target: Uint8Array,
): void {
  eachPart(ranges, offset, target.length, (address, at, lengthBytes) =>
    memory.read(address, target.subarray(at, at + lengthBytes)),
  );
}

export function writeRanges(
  memory: ByteAccess,
  ranges: PhysicalRanges,
  offset: number,
  source: Uint8Array,
): void {
  eachPart(ranges, offset, source.length, (address, at, lengthBytes) =>
    memory.write(address, source.subarray(at, at + lengthBytes)),
  );
}

/** Calls for each piece of `lengthBytes` from `offset`, in order; `at` counts from 0. */
function eachPart(
  ranges: PhysicalRanges,
  offset: number,
  lengthBytes: number,
  visit: (address: PhysicalAddress, at: number, lengthBytes: number) => void,
): void {
  let begin = 0;
  for (let index = 0; index < ranges.count; index++) {
    const end = begin + ranges.lengthBytes(index);
    const from = Math.max(begin, offset);
    const to = Math.min(end, offset + lengthBytes);
    if (from < to) {
      visit((ranges.start(index) + from - begin) as PhysicalAddress, from - offset, to - from);
    }
    begin = end;
  }
}
