/**
 * Page copy: bytes from some host pages to others, by the CPU.
 */
import type { HostMemory, PhysicalRanges } from "@peerbuf/core";
import { readHost, writeHost } from "../host-bytes.ts";

const BLOCK_BYTES = 256 * 1024;

/** As many bytes as the shorter of the two holds. */
export function copyPages(
  memory: HostMemory,
  source: PhysicalRanges,
  target: PhysicalRanges,
): void {
  const sizeBytes = Math.min(source.sizeBytes, target.sizeBytes);
  const block = new Uint8Array(Math.min(BLOCK_BYTES, sizeBytes));
  for (let done = 0; done < sizeBytes; done += block.length) {
    const piece = block.subarray(0, Math.min(block.length, sizeBytes - done));
    readHost(memory, source, done, piece);
    writeHost(memory, target, done, piece);
  }
}
