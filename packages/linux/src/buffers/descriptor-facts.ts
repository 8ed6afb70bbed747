/**
 * Descriptor facts: what a descriptor is, asked of the kernel and not of whoever passed it.
 */
import { fstatSync, readFileSync, readlinkSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import type { Descriptor } from "../sys/descriptor.ts";
import { checked } from "../sys/errno.ts";
import { libc } from "../sys/libc.ts";
import { SEAL, sealsOf } from "../sys/memfd.ts";
import { DMA_BUF_MAGIC } from "./dma-buf-requests.ts";

export type BufferKind = "dma-buf" | "memfd";

/** Two descriptors are of one buffer exactly when both members are equal. */
export interface BufferIdentity {
  readonly device: number;
  readonly inode: number;
}

/** struct statfs on 64-bit Linux; f_type comes first. */
const STATFS_BYTES = 120;
const SEEK_SET = 0;
const SEEK_END = 2;

/**
 * What kind of buffer it is. `NOT_A_BUFFER` for anything but a dma-buf or a memfd that is sealed against
 * shrinking: the pages of a file that shrinks vanish under a mapping, which ends the process (SIGBUS).
 */
export function kindOf(descriptor: Descriptor): BufferKind {
  const statfs = new Uint8Array(STATFS_BYTES);
  checked(
    () => libc().fstatfs(descriptor.number, statfs),
    () => `look at ${descriptor.what}`,
  );
  if (new DataView(statfs.buffer).getUint32(0, true) === DMA_BUF_MAGIC) {
    return "dma-buf";
  }
  const seals = sealsOf(descriptor);
  if (seals !== undefined && (seals & SEAL.SHRINK) !== 0) {
    return "memfd";
  }
  const is = seals === undefined ? "is something else" : "is a memfd that may shrink";
  throw new PeerbufError(
    "NOT_A_BUFFER",
    `${descriptor.what} ${is} (${linkOf(descriptor)}): a dma-buf or a memfd sealed with F_SEAL_SHRINK is needed`,
  );
}

/** Bytes. The position of a dma-buf never changes; that of a memfd is put back. */
export function sizeOf(descriptor: Descriptor): number {
  const seek = (whence: number): number =>
    checked(
      () => libc().lseek(descriptor.number, 0, whence),
      () => `find the size of ${descriptor.what}`,
    );
  const sizeBytes = seek(SEEK_END);
  seek(SEEK_SET);
  return sizeBytes;
}

export function identityOf(descriptor: Descriptor): BufferIdentity {
  const { dev, ino } = fstatSync(descriptor.number);
  return { device: dev, inode: ino };
}

/** Lines of /proc/self/fdinfo, by name: `exp_name`, `name`, `count`, ... */
export function fdInfoOf(descriptor: Descriptor): ReadonlyMap<string, string> {
  const text = readFileSync(`/proc/self/fdinfo/${descriptor.number}`, "utf8");
  return new Map(
    text.split("\n").flatMap((line) => {
      const colon = line.indexOf(":");
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    }),
  );
}

const linkOf = (descriptor: Descriptor): string =>
  readlinkSync(`/proc/self/fd/${descriptor.number}`);
