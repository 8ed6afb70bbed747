/**
 * Descriptor facts: what a descriptor is, asked of the kernel and not of whoever passed it.
 */
import { readlinkSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import type { Descriptor } from "../sys/descriptor.ts";
import { checked } from "../sys/errno.ts";
import { statusOf } from "../sys/file-status.ts";
import { textOf } from "../sys/kernel-files.ts";
import { libc } from "../sys/libc.ts";
import { SEAL, sealsOf } from "../sys/memfd.ts";
import { DMA_BUF_MAGIC } from "./dma-buf-requests.ts";

export type BufferKind = "dma-buf" | "memfd";

/** Two descriptors are of one buffer exactly when both members are equal. */
export interface BufferIdentity {
  readonly device: number;
  readonly inode: number;
}

export interface DescriptorFacts {
  readonly kind: BufferKind;
  readonly sizeBytes: number;
  readonly identity: BufferIdentity;
}

/** struct statfs on 64-bit Linux; f_type comes first. */
const STATFS_BYTES = 120;
const HUGETLBFS_MAGIC = 0x958458f6;
/** What the kernel calls a dma-buf in /proc; its name follows. */
const DMA_BUF_LINK = "/dmabuf:";

/**
 * Devices (st_dev) of the kernel's own two file systems, as they were met: that of memfds of ordinary pages, and
 * that of dma-bufs. Both are mounted when it boots and never again, so one look at each tells of all their files.
 */
const known: Record<BufferKind, number | undefined> = { memfd: undefined, "dma-buf": undefined };

/**
 * What a descriptor is. `NOT_A_BUFFER` for anything but a dma-buf or a memfd whose pages cannot be taken away
 * under a mapping, which would end the process (SIGBUS): it has to be sealed against shrinking, and of
 * ordinary pages, because huge ones that are punched out may not come back.
 */
export function factsOf(descriptor: Descriptor): DescriptorFacts {
  // The kind first: a size is only worth something when it can shrink no more.
  const kind = likelyKindOf(descriptor);
  const { device, inode, sizeBytes } = statusOf(descriptor);
  if (device !== known[kind]) {
    checkFileSystem(descriptor, kind);
    known[kind] = device;
  }
  return { kind, sizeBytes, identity: { device, inode } };
}

/**
 * Sealing is asked first: it is answered by the kernel alone, while a file system that is asked anything else may
 * be a dead server, and hold us for ever.
 */
function likelyKindOf(descriptor: Descriptor): BufferKind {
  const seals = sealsOf(descriptor);
  if (seals === undefined) {
    const link = linkOf(descriptor);
    if (link.startsWith(DMA_BUF_LINK)) {
      return "dma-buf";
    }
    throw notABuffer(descriptor, `is something else (${link})`);
  }
  if ((seals & SEAL.SHRINK) === 0) {
    throw notABuffer(descriptor, "is a memfd that may shrink");
  }
  return "memfd";
}

function checkFileSystem(descriptor: Descriptor, kind: BufferKind): void {
  const magic = fileSystemOf(descriptor);
  if (kind === "dma-buf" && magic !== DMA_BUF_MAGIC) {
    throw notABuffer(descriptor, `is something else (${linkOf(descriptor)})`);
  }
  if (magic === HUGETLBFS_MAGIC) {
    throw notABuffer(descriptor, "is a memfd of huge pages, which may be punched out for good");
  }
}

function fileSystemOf(descriptor: Descriptor): number {
  const statfs = new Uint8Array(STATFS_BYTES);
  checked(
    () => libc().fstatfs(descriptor.number, statfs),
    () => `look at ${descriptor.what}`,
  );
  return new DataView(statfs.buffer).getUint32(0, true);
}

const notABuffer = ({ what }: Descriptor, is: string): PeerbufError =>
  new PeerbufError(
    "NOT_A_BUFFER",
    `${what} ${is}: a dma-buf or a memfd sealed with F_SEAL_SHRINK is needed`,
  );

/** Lines of /proc/self/fdinfo, by name: `exp_name`, `name`, `count`, ... `SYSCALL_FAILED`. */
export function fdInfoOf(descriptor: Descriptor): ReadonlyMap<string, string> {
  const text = textOf(`/proc/self/fdinfo/${descriptor.number}`);
  return new Map(
    text.split("\n").flatMap((line) => {
      const colon = line.indexOf(":");
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    }),
  );
}

function linkOf(descriptor: Descriptor): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor.number}`);
  } catch (cause) {
    throw new PeerbufError("PLATFORM_MISSING", "/proc is needed to tell what a descriptor is", {
      cause,
    });
  }
}
