/**
 * Linux host memory: core's host memory over buffers of the real kernel.
 *
 * Each allocation is a dma-buf from the system heap, else from udmabuf, else shared memory without one, so
 * that drivers that live on host pages (a heap, say) run here as they are.
 */
import { totalmem } from "node:os";
import {
  type Fence,
  type FenceDomain,
  type HostMemory,
  type HostPages,
  PAGE_BYTES,
  PeerbufError,
  type PhysicalAddress,
  type PhysicalRanges,
} from "@peerbuf/core";
import { dmaHeap, dmaHeapNames } from "../buffers/dma-heap.ts";
import { sharedMemory } from "../buffers/from-fd.ts";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { hasUdmabuf, udmabuf } from "../buffers/udmabuf.ts";
import type { AddressBook, MappedBytes } from "./address-book.ts";
import { startCpuCopy } from "./cpu-copy.ts";

/** Where host pages come from. */
export type MemorySource = "dma-heap" | "udmabuf" | "memfd";

/** The best that this machine has. */
export function bestSource(): MemorySource {
  if (dmaHeapNames().includes("system")) {
    return "dma-heap";
  }
  return hasUdmabuf() ? "udmabuf" : "memfd";
}

const ALLOCATORS: Readonly<Record<MemorySource, (sizeBytes: number) => LinuxBuffer>> = {
  "dma-heap": (sizeBytes) => dmaHeap("system", sizeBytes),
  udmabuf: (sizeBytes) => udmabuf(sizeBytes),
  memfd: (sizeBytes) => sharedMemory(sizeBytes),
};

export class LinuxHostMemory implements HostMemory {
  readonly source: MemorySource;
  readonly #book: AddressBook;
  readonly #buffers = new Map<HostPages, LinuxBuffer>();

  constructor(book: AddressBook, source: MemorySource) {
    this.#book = book;
    this.source = source;
  }

  /** Allocations that were not freed. */
  get liveAllocations(): number {
    return this.#buffers.size;
  }

  /**
   * One dma-buf, contiguous by name. NUMA nodes are the kernel's business: `node` is not looked at. `MEMORY_EXHAUSTED` for
   * more than the machine has: of shared memory the kernel promises any amount.
   */
  allocate(sizeBytes: number): HostPages {
    if (sizeBytes > totalmem()) {
      const message = `${sizeBytes} bytes of host memory: this machine has ${totalmem()}`;
      throw new PeerbufError("MEMORY_EXHAUSTED", message);
    }
    const buffer = ALLOCATORS[this.source](Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES);
    const pages: HostPages = { ranges: this.#book.enter(buffer) };
    this.#buffers.set(pages, buffer);
    return pages;
  }

  free(pages: HostPages): void {
    const buffer = this.#buffers.get(pages);
    if (buffer === undefined) {
      throw new PeerbufError("HANDLE_CLOSED", "these pages were freed, or are of another platform");
    }
    this.#buffers.delete(pages);
    this.#book.remove(buffer);
    buffer.close();
  }

  read(address: PhysicalAddress, target: Uint8Array): void {
    const { buffer, offset } = this.#book.find(address, target.length);
    buffer.withBytesSync("read", (bytes) =>
      target.set(bytes.subarray(offset, offset + target.length)),
    );
  }

  write(address: PhysicalAddress, source: Uint8Array): void {
    const { buffer, offset } = this.#book.find(address, source.length);
    buffer.withBytesSync("write", (bytes) => bytes.set(source, offset));
  }

  copy(source: PhysicalRanges, target: PhysicalRanges, fences: FenceDomain): Fence {
    return startCpuCopy(fences, this.#bufferAt(source), this.#bufferAt(target));
  }

  #bufferAt(ranges: PhysicalRanges): MappedBytes {
    return this.#book.find(ranges.start(0), ranges.lengthBytes(0)).buffer;
  }
}
