/**
 * Host bytes: the CPU's way to a stretch of a buffer whose host pages may be scattered.
 *
 * Offsets are bytes of the buffer; core has checked that the stretch lies inside.
 */
import type { HostMemory, PhysicalAddress, PhysicalRanges } from "@peerbuf/core";

export function readHost(
  memory: HostMemory,
  ranges: PhysicalRanges,
  offset: number,
  target: Uint8Array,
): void {
  eachPiece(ranges, offset, target, (address, piece) => memory.read(address, piece));
}

export function writeHost(
  memory: HostMemory,
  ranges: PhysicalRanges,
  offset: number,
  source: Uint8Array,
): void {
  eachPiece(ranges, offset, source, (address, piece) => memory.write(address, piece));
}

/** The part of `bytes` that falls into each range, with its address. */
function eachPiece(
  ranges: PhysicalRanges,
  offset: number,
  bytes: Uint8Array,
  visit: (address: PhysicalAddress, piece: Uint8Array) => void,
): void {
  let skip = offset;
  let done = 0;
  for (let index = 0; index < ranges.count && done < bytes.length; index++) {
    const length = ranges.lengthBytes(index);
    if (skip < length) {
      const piece = Math.min(length - skip, bytes.length - done);
      const address = (ranges.start(index) + skip) as PhysicalAddress;
      visit(address, bytes.subarray(done, done + piece));
      done += piece;
    }
    skip = Math.max(0, skip - length);
  }
}
