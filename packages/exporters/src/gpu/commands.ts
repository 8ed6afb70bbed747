/**
 * GPU commands: work for the copy engine, as a flat table.
 *
 * Five numbers a command: opcode, pattern, source, target, length in bytes. A copy between VRAM
 * ranges and DMA segments becomes one command wherever both run on without a break.
 */
import type { SegmentList } from "@peerbuf/core";
import { OPCODE } from "./registers.ts";
import type { VramRange } from "./vram-allocator.ts";

export const COMMAND_FIELDS = 5;

/** Rows of [opcode, pattern, source, target, lengthBytes]. */
export type CommandTable = readonly number[];

export function fillCommands(ranges: readonly VramRange[], pattern: number): CommandTable {
  return ranges.flatMap(({ offset, lengthBytes }) => [
    OPCODE.FILL,
    pattern,
    0,
    offset,
    lengthBytes,
  ]);
}

/** Copies between `ranges` and `segments`; the shorter of the two decides how much. */
export function copyCommands(
  ranges: readonly VramRange[],
  segments: SegmentList,
  way: "out" | "back",
): CommandTable {
  const commands: number[] = [];
  let range = 0;
  let inRange = 0;
  let segment = 0;
  let inSegment = 0;
  while (range < ranges.length && segment < segments.count) {
    const { offset, lengthBytes } = ranges[range] as VramRange;
    const segmentBytes = segments.lengthBytes(segment);
    const piece = Math.min(lengthBytes - inRange, segmentBytes - inSegment);
    const vram = offset + inRange;
    const dma = segments.address(segment) + inSegment;
    if (way === "out") {
      commands.push(OPCODE.VRAM_TO_DMA, 0, vram, dma, piece);
    } else {
      commands.push(OPCODE.DMA_TO_VRAM, 0, dma, vram, piece);
    }
    inRange += piece;
    inSegment += piece;
    if (inRange === lengthBytes) {
      range++;
      inRange = 0;
    }
    if (inSegment === segmentBytes) {
      segment++;
      inSegment = 0;
    }
  }
  return commands;
}

/** The part of a buffer's VRAM that holds its bytes from `offset` on. */
export function slice(
  ranges: readonly VramRange[],
  offset: number,
  lengthBytes: number,
): VramRange[] {
  const part: VramRange[] = [];
  let skip = offset;
  let left = lengthBytes;
  for (const range of ranges) {
    const piece = Math.min(left, Math.max(0, range.lengthBytes - skip));
    if (piece > 0) {
      part.push({ offset: range.offset + skip, lengthBytes: piece });
      left -= piece;
    }
    skip = Math.max(0, skip - range.lengthBytes);
  }
  return part;
}
