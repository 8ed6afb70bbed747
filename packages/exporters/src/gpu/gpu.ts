/**
 * GPU: buffers in VRAM, which peers may reach through the BAR.
 *
 * Prefers that peers come to VRAM (P2P); who cannot is served from system memory, to which the copy
 * engine moves the buffer at the first such mapping. Where the bytes are, and why, is on the record.
 *
 * The layout: `vram-allocator` (what is free), `copy-engine` (jobs and fences), `sharing` (the GPU's
 * word on peers), `gpu-storage` (one buffer: where it lies, moves, CPU access).
 */
import { defineExporter, type ExporterDriver } from "@peerbuf/core";
import { startGpu } from "./gpu-parts.ts";
import { GpuStorage } from "./gpu-storage.ts";
import { readWishes } from "./sharing.ts";
import type { VramPart } from "./vram-allocator.ts";

/** What a user of the opened driver can ask. Sizes in bytes. */
export interface Gpu {
  readonly vramBytes: number;
  /** The part of VRAM, from its start, that the BAR shows: all that peers can reach. */
  readonly visibleBytes: number;
  freeBytes(part: VramPart): number;
}

/** Options of `allocate`: see `GpuWishes`. */
export const gpu: ExporterDriver<undefined, Gpu> = defineExporter<undefined, Gpu>({
  name: "gpu",
  needsDevice: true,

  open(services) {
    const parts = startGpu(services);
    const { vram, engine } = parts;

    return {
      api: {
        vramBytes: vram.vramBytes,
        visibleBytes: vram.visibleBytes,
        freeBytes: (part) => vram.freeBytes(part),
      },
      allocate: (sizeBytes, options, control) =>
        new GpuStorage(parts, sizeBytes, readWishes(options), control),
      close: () => engine.close(),
    };
  },
});
