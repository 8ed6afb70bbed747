/**
 * Fill pattern: repeats a 32-bit value over a range, byte 0 of the value at the range's first byte.
 */
import type { SparseMemory } from "../../sparse-memory.ts";

const BLOCK_BYTES = 64 * 1024;

export function fillPattern(
  memory: SparseMemory,
  offset: number,
  lengthBytes: number,
  pattern: number,
): void {
  if (pattern % 0x0101_0101 === 0) {
    memory.fill(pattern & 0xff, offset, lengthBytes); // Four equal bytes; zeros then commit nothing.
    return;
  }
  const block = new Uint8Array(Math.min(BLOCK_BYTES, lengthBytes));
  for (let index = 0; index < block.length; index++) {
    block[index] = (pattern >>> (8 * (index % 4))) & 0xff;
  }
  for (let done = 0; done < lengthBytes; done += BLOCK_BYTES) {
    memory.write(offset + done, block, 0, Math.min(BLOCK_BYTES, lengthBytes - done));
  }
}
