/**
 * Medium: where a drive keeps its bytes, reached past its controller and driver.
 *
 * In the modelled drive's memory, or in a file on disk, which is read as any program would read it.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { SparseMemory } from "@peerbuf/machine";
import { hashOfMemory } from "./byte-place.ts";

/** Bytes in one go. */
const PIECE_BYTES = 2 ** 20;

export interface Medium {
  /** Zeros from the start, so that nothing old can pass for new. */
  clear(lengthBytes: number): void;
  /** From the start. */
  write(bytes: Uint8Array): void;
  /** SHA-256 of the first bytes. */
  hash(lengthBytes: number): string;
}

export const memoryMedium = (memory: SparseMemory): Medium => ({
  clear: (lengthBytes) => memory.fill(0, 0, lengthBytes),
  write: (bytes) => memory.write(0, bytes),
  hash: (lengthBytes) => hashOfMemory(memory, lengthBytes),
});

export const fileMedium = (path: string): Medium => ({
  clear: (lengthBytes) => writeStart(path, new Uint8Array(lengthBytes)),
  write: (bytes) => writeStart(path, bytes),
  hash: (lengthBytes) => hashOfFile(path, lengthBytes),
});

function writeStart(path: string, bytes: Uint8Array): void {
  withFile(path, "r+", (file) => {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(file, bytes, done, bytes.length - done, done);
    }
  });
}

function hashOfFile(path: string, lengthBytes: number): string {
  const hash = createHash("sha256");
  withFile(path, "r", (file) => {
    const piece = new Uint8Array(PIECE_BYTES);
    for (let done = 0; done < lengthBytes; ) {
      const count = readSync(file, piece, 0, Math.min(PIECE_BYTES, lengthBytes - done), done);
      if (count === 0) {
        return; // Shorter than what was written to it: the sum will not match.
      }
      hash.update(piece.subarray(0, count));
      done += count;
    }
  });
  return hash.digest("hex");
}

function withFile(path: string, flags: "r" | "r+", use: (file: number) => void): void {
  const file = openSync(path, flags);
  try {
    use(file);
  } finally {
    closeSync(file);
  }
}
