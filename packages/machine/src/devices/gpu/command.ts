/**
 * GPU command: one 32-byte entry of the copy engine's ring.
 *
 * | Bytes | Field |
 * |---|---|
 * | 0-3 | opcode |
 * | 4-7 | pattern: the 32-bit value FILL repeats from its target on |
 * | 8-15 | source: VRAM offset, DMA or GART address |
 * | 16-23 | target: VRAM offset, DMA or GART address; for FENCE the value |
 * | 24-31 | length in bytes |
 */
import { readU64 } from "../little-endian.ts";

export const GPU_COMMAND_BYTES = 32;

export const GPU_OPCODE = {
  /** Repeats the pattern over VRAM. */
  FILL: 1,
  VRAM_TO_DMA: 2,
  DMA_TO_VRAM: 3,
  /** As memmove: overlapping ranges arrive as they were before. */
  VRAM_TO_VRAM: 4,
  /** Writes `target` as 8 bytes to the fence address when all before it is done, then interrupts. */
  FENCE: 5,
  /** As VRAM_TO_DMA and DMA_TO_VRAM, with an address in the GART's aperture for the other side. */
  VRAM_TO_GART: 6,
  GART_TO_VRAM: 7,
} as const;

export interface GpuCommand {
  readonly opcode: number;
  readonly pattern: number;
  readonly source: number;
  readonly target: number;
  readonly lengthBytes: number;
}

export function decodeGpuCommand(entry: DataView): GpuCommand {
  return {
    opcode: entry.getUint32(0, true),
    pattern: entry.getUint32(4, true),
    source: readU64(entry, 8),
    target: readU64(entry, 16),
    lengthBytes: readU64(entry, 24),
  };
}
