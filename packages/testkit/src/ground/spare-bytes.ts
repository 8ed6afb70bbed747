/**
 * Spare bytes: the memory of worlds that are over, for those to come.
 *
 * A world lives for microseconds and needs a few pages; to ask the system for them anew each time would cost as much as the
 * world itself. All spare bytes are zero. Kept: a few pieces of each size, and none that is large.
 */

/** Pieces kept of one size, and sizes. */
const PIECES_MAX = 32;
const SIZES_MAX = 16;
/** Larger pieces are the system's to keep. */
const SIZE_BYTES_MAX = 2 ** 18;
/** A loop is quicker than a view of so many bytes. */
const LOOP_BYTES_MAX = 128;

const spare = new Map<number, Uint8Array[]>();

/** So many zeroed bytes that nobody else has. */
export function takeBytes(sizeBytes: number): Uint8Array {
  return spare.get(sizeBytes)?.pop() ?? new Uint8Array(sizeBytes);
}

/** Nobody uses them any more. From `writtenBytes` on they were never written. */
export function giveBytes(bytes: Uint8Array, writtenBytes: number): void {
  if (bytes.length > SIZE_BYTES_MAX) {
    return;
  }
  let pieces = spare.get(bytes.length);
  if (pieces === undefined && spare.size < SIZES_MAX) {
    pieces = [];
    spare.set(bytes.length, pieces);
  }
  if (pieces !== undefined && pieces.length < PIECES_MAX) {
    bytes.fill(0, 0, writtenBytes);
    pieces.push(bytes);
  }
}

/** Fills `target` from `source`, beginning at `offset`. */
export function copyBytes(source: Uint8Array, offset: number, target: Uint8Array): void {
  if (target.length > LOOP_BYTES_MAX) {
    target.set(source.subarray(offset, offset + target.length));
    return;
  }
  for (let at = 0; at < target.length; at++) {
    target[at] = source[offset + at] as number;
  }
}
