/**
 * Staging: the CPU's way to VRAM that the BAR does not show.
 *
 * The copy engine brings the bytes to host pages or takes them from there, a piece at a time.
 */
import { type HostPages, PeerbufError, type SegmentList } from "@peerbuf/core";
import { readHost, writeHost } from "../host-bytes.ts";
import { copyCommands } from "./commands.ts";
import type { GpuParts } from "./gpu-parts.ts";
import type { VramRange } from "./vram-allocator.ts";

/** Most bytes staged at once. */
export const STAGING_BYTES: number = 1024 * 1024;

/** `ranges` hold exactly as many bytes as `target`. */
export async function readStaged(
  parts: GpuParts,
  ranges: readonly VramRange[],
  target: Uint8Array,
): Promise<void> {
  await staged(parts, target.length, async (pages, segments) => {
    await engineCopy(parts, ranges, segments, "out");
    readHost(parts.memory, pages.ranges, 0, target);
  });
}

export async function writeStaged(
  parts: GpuParts,
  ranges: readonly VramRange[],
  source: Uint8Array,
): Promise<void> {
  await staged(parts, source.length, async (pages, segments) => {
    writeHost(parts.memory, pages.ranges, 0, source);
    await engineCopy(parts, ranges, segments, "back");
  });
}

async function engineCopy(
  { engine, label }: GpuParts,
  ranges: readonly VramRange[],
  segments: SegmentList,
  way: "out" | "back",
): Promise<void> {
  const error = await engine.submit(copyCommands(ranges, segments, way)).signaled();
  if (error !== undefined) {
    const what = `${label} could not copy for the CPU: ${error.message}`;
    throw new PeerbufError("DEVICE_FAILED", what, { cause: error });
  }
}

/** Lends pages that the engine can reach, and takes them back on every path. */
async function staged(
  { memory, dma, label }: GpuParts,
  sizeBytes: number,
  use: (pages: HostPages, segments: SegmentList) => Promise<void>,
): Promise<void> {
  const pages = memory.allocate(sizeBytes);
  try {
    const segments = dma.map(pages.ranges, "bidirectional");
    if ("answer" in segments) {
      throw new PeerbufError(
        "DEVICE_FAILED",
        `${label} cannot reach its staging: ${segments.text}`,
      );
    }
    try {
      await use(pages, segments);
    } finally {
      dma.unmap(segments, "bidirectional");
    }
  } finally {
    memory.free(pages);
  }
}
