/**
 * Live memory: the best buffers that this machine gives to this user, found by asking for one.
 */
import { PAGE_BYTES, PeerbufError } from "@peerbuf/core";
import type { LinuxBuffer, MemorySource } from "@peerbuf/linux";
import type { Missing } from "./live-transfer.ts";

/** The real platform, which commands load when they need it. */
export type Linux = typeof import("@peerbuf/linux");

export interface LiveMemory {
  readonly source: MemorySource;
  /** What was asked for before, in vain. */
  readonly missing: readonly Missing[];
}

/** Where the bytes of an attempt are. */
export interface LiveSource {
  /** As attempts are called: `memory`, `memory of vgem`. */
  readonly name: string;
  allocate(): LinuxBuffer;
}

/** Tries the system heap, then udmabuf; shared memory, which is no dma-buf, is everywhere. */
export function chooseMemory(linux: Linux): LiveMemory {
  const missing: Missing[] = [];
  for (const source of ["dma-heap", "udmabuf"] as const) {
    try {
      allocate(linux, source, PAGE_BYTES).close();
      return { source, missing };
    } catch (error) {
      if (!(error instanceof PeerbufError)) {
        throw error;
      }
      missing.push(missingNode(NODES[source], error));
    }
  }
  return { source: "memfd", missing };
}

/** `bytes` of zeroed memory, whole pages. */
export function allocate(linux: Linux, source: MemorySource, bytes: number): LinuxBuffer {
  switch (source) {
    case "dma-heap":
      return linux.dmaHeap("system", bytes);
    case "udmabuf":
      return linux.udmabuf(bytes);
    case "memfd":
      return linux.sharedMemory(bytes);
  }
}

const NODES = {
  "dma-heap": {
    what: "/dev/dma_heap/system",
    enabledBy: "a kernel with CONFIG_DMABUF_HEAPS_SYSTEM",
  },
  udmabuf: { what: "/dev/udmabuf", enabledBy: "modprobe udmabuf (CONFIG_UDMABUF)" },
} as const;

function missingNode(
  { what, enabledBy }: { readonly what: string; readonly enabledBy: string },
  { code, errno, message }: PeerbufError,
): Missing {
  if (code === "PLATFORM_MISSING") {
    return { what, cause: "it is not there", remedy: `${enabledBy}; in a container, pass it in` };
  }
  return errno === "EACCES" || errno === "EPERM"
    ? { what, cause: `it may not be opened (${errno})`, remedy: AS_ROOT }
    : { what, cause: message, remedy: "see the kernel's log" };
}

const AS_ROOT = "run it as root, or let a udev rule give the node to your group";
