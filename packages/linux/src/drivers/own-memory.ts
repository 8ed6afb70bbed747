/**
 * Own memory: system memory that an importer brings because its device cannot take the buffer's.
 *
 * Shared memory of this process: ordinary pages, which every kernel driver can pin. The exporter fills it and
 * takes it back; the decision record says why.
 */
import type { PhysicalRanges } from "@peerbuf/core";
import { sharedMemory } from "../buffers/from-fd.ts";
import type { KernelBuffers } from "../platform/kernel-buffers.ts";

export interface OwnMemory {
  /** For `Offer.target`. */
  readonly ranges: PhysicalRanges;
  /** Once nothing is copied from or to it any more. */
  free(): void;
}

export function takeOwnMemory(buffers: KernelBuffers, sizeBytes: number, name: string): OwnMemory {
  const memory = sharedMemory(sizeBytes, name);
  return {
    ranges: buffers.adopt(memory),
    free() {
      buffers.forget(memory);
      memory.close();
    },
  };
}
