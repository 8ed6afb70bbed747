/**
 * File status: size and identity of an open file (fstat(2)), without the forty figures that Node makes of it.
 */
import type { Descriptor } from "./descriptor.ts";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

export interface FileStatus {
  readonly device: number;
  readonly inode: number;
  readonly sizeBytes: number;
}

/** Number of the system call: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
export const FSTAT: number = process.arch === "x64" ? 5 : 80;
/** struct stat is 144 bytes on x86-64, 128 on arm64; these three are at the same offsets (u64 each). */
const STAT_BYTES = 144;
const DEVICE = 0;
const INODE = 2;
const SIZE = 12;

/** One for all: it is read before the next call. */
const words = new Uint32Array(STAT_BYTES / 4);
const bytes = new Uint8Array(words.buffer);

/** `SYSCALL_FAILED`. Asks the file system, which may be a server that is dead: know first what it is. */
export function statusOf(descriptor: Descriptor): FileStatus {
  if (libc().fstat(FSTAT, descriptor.number, bytes) < 0) {
    // Again, for its errno: where all is well nothing is made for an error.
    checked(
      () => libc().fstat(FSTAT, descriptor.number, bytes),
      () => `look at ${descriptor.what}`,
    );
  }
  return { device: wordsAt(DEVICE), inode: wordsAt(INODE), sizeBytes: wordsAt(SIZE) };
}

/** Exact below 2^53, as everywhere in Node. */
const wordsAt = (at: number): number => (words[at] as number) + (words[at + 1] as number) * 2 ** 32;
