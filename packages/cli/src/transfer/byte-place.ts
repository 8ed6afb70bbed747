/**
 * Byte place: where bytes lie, to be looked at past all drivers.
 *
 * Uses the machine's instruments only, so that no driver can vouch for its own work.
 */
import { createHash } from "node:crypto";
import { type PhysicalRanges, physicalAddress } from "@peerbuf/core";
import type { Machine, SparseMemory } from "@peerbuf/machine";

/** Bytes looked at in one go. */
const PIECE_BYTES = 2 ** 20;

/** The SHA-256 of bytes at physical addresses, RAM or behind a BAR, in their order. */
export function hashOfRanges(machine: Machine, ranges: PhysicalRanges): string {
  const hash = createHash("sha256");
  for (let index = 0; index < ranges.count; index++) {
    const start = ranges.start(index);
    const lengthBytes = ranges.lengthBytes(index);
    for (let offset = 0; offset < lengthBytes; offset += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, lengthBytes - offset));
      machine.inspect.peek(physicalAddress(start + offset), piece);
      hash.update(piece);
    }
  }
  return hash.digest("hex");
}

/** The SHA-256 of the first bytes of a device's own memory, such as an NVMe namespace. */
export function hashOfMemory(memory: SparseMemory, lengthBytes: number): string {
  const hash = createHash("sha256");
  for (let offset = 0; offset < lengthBytes; offset += PIECE_BYTES) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, lengthBytes - offset));
    memory.read(offset, piece);
    hash.update(piece);
  }
  return hash.digest("hex");
}

export const hashOf = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");
