/**
 * Heap refusal: what a dma-heap's no means, and what a person can do about it (dma-heap.c and heaps/, 6.12).
 *
 * Only ENOMEM is a want of memory; whoever tries again with less after an EACCES tries for ever.
 */
import { PeerbufError, type PeerbufErrorCode } from "@peerbuf/core";

interface Meaning {
  readonly code: PeerbufErrorCode;
  readonly cause: string;
  readonly remedy: string;
}

const OPEN_RIGHTS: Meaning = {
  code: "SYSCALL_FAILED",
  cause: "this user may not open the heap",
  remedy:
    'run as root, or let a group in by a udev rule: SUBSYSTEM=="dma_heap", GROUP="video", MODE="0660"',
};
const NO_HEAP: Meaning = {
  code: "PLATFORM_MISSING",
  cause: "the heap is not there any more",
  remedy: "load its module again, or take another of dmaHeapNames()",
};
const NO_DESCRIPTOR: Meaning = {
  code: "SYSCALL_FAILED",
  cause: "no more files may be open",
  remedy: "close buffers, or raise the limit (ulimit -n; fs.file-max for the whole machine)",
};

const MEANINGS: Readonly<Record<string, Meaning>> = {
  EACCES: OPEN_RIGHTS,
  EPERM: OPEN_RIGHTS,
  ENOENT: NO_HEAP,
  ENODEV: NO_HEAP,
  ENXIO: NO_HEAP,
  EMFILE: NO_DESCRIPTOR,
  ENFILE: NO_DESCRIPTOR,
  ENOMEM: {
    code: "MEMORY_EXHAUSTED",
    cause: "the heap has no memory for it; a CMA heap needs it in one piece",
    remedy: "close buffers, ask for less, or take the system heap, which needs no piece",
  },
  EINVAL: {
    code: "SYSCALL_FAILED",
    cause: "the heap takes no buffer of this size or with these flags",
    remedy:
      "ask for whole pages of this kernel (16 or 64 KiB on some arm64), and less than half of memory",
  },
  ENOTTY: {
    code: "SYSCALL_FAILED",
    cause: "what is at this path is no dma-heap",
    remedy: "look at what made it (ls -l): a heap is a character device of the class dma_heap",
  },
};

/** The error for what the kernel said; one that it was not known to say keeps its errno and the call. */
export function heapRefusal(refused: PeerbufError, path: string, sizeBytes: number): PeerbufError {
  const meaning = MEANINGS[refused.errno];
  if (meaning === undefined) {
    return refused;
  }
  const { code, cause, remedy } = meaning;
  return new PeerbufError(
    code,
    `${sizeBytes} bytes of ${path}: ${refused.errno}, ${cause}: ${remedy}`,
    { errno: refused.errno, cause: refused },
  );
}
