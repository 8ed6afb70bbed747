/** A dma-buf of no particular kind: Debian builds its arm64 kernel without a dma-heap. */
import {
  dmaHeap,
  dmaHeapNames,
  type LinuxBuffer,
  type MemorySource,
  udmabuf,
} from "@peerbuf/linux";

export const hasSystemHeap: boolean = dmaHeapNames().includes("system");
if (!hasSystemHeap) {
  console.warn(
    "this kernel has no system heap: what is said of it is skipped, the rest has udmabufs",
  );
}

/** As the kernel calls who made it. */
export const ANY_EXPORTER: string = hasSystemHeap ? "system" : "udmabuf";

/** As a platform is told to make its memory. */
export const ANY_SOURCE: MemorySource = hasSystemHeap ? "dma-heap" : "udmabuf";

/** Of the system heap where there is one, else a udmabuf. */
export const anyDmaBuf = (sizeBytes: number): LinuxBuffer =>
  hasSystemHeap ? dmaHeap("system", sizeBytes) : udmabuf(sizeBytes);
