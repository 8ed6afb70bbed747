/**
 * dma-heap: buffers of system memory from /dev/dma_heap/NAME (drivers/dma-buf/dma-heap.c, 6.12).
 */
import { existsSync } from "node:fs";
import { totalmem } from "node:os";
import { PeerbufError } from "@peerbuf/core";
import { Descriptor } from "../sys/descriptor.ts";
import { missingNode } from "../sys/device-node.ts";
import { ioctl, request } from "../sys/ioctl.ts";
import { namesIn } from "../sys/kernel-files.ts";
import { checkSize } from "./buffer-size.ts";
import { heapRefusal } from "./heap-refusal.ts";
import { LinuxBuffer } from "./linux-buffer.ts";

const FOLDER = "/dev/dma_heap";
/** struct dma_heap_allocation_data: len @0, fd @8, fd_flags @12, heap_flags @16. */
const DMA_HEAP_IOCTL_ALLOC: number = request("both", "H", 0, 24);
const O_RDWR = 2;
const O_CLOEXEC = 0x80000;

/** Names of the heaps of this machine; empty where there are none. */
export const dmaHeapNames = (): string[] => namesIn(FOLDER);

/**
 * A zeroed buffer of `sizeBytes` (whole pages) from the heap `name`, usually `system`. `PLATFORM_MISSING`
 * when the heap is not there, `SIZE_INVALID`, `MEMORY_EXHAUSTED` (ENOMEM); `SYSCALL_FAILED` with EACCES where the
 * node may not be opened, EINVAL, ENOTTY, EMFILE: the message says what that means and what to do.
 */
export function dmaHeap(name: string, sizeBytes: number): LinuxBuffer {
  checkSize(sizeBytes);
  const path = `${FOLDER}/${name}`;
  if (!/^[\w.,-]+$/.test(name) || !existsSync(path)) {
    throw missingNode(path, "CONFIG_DMABUF_HEAPS and CONFIG_DMABUF_HEAPS_SYSTEM", dmaHeapNames());
  }
  // The kernel would try, and end processes for want of memory before it says no.
  if (sizeBytes > totalmem()) {
    const message = `${sizeBytes} bytes of the ${name} heap: this machine has ${totalmem()}`;
    throw new PeerbufError("MEMORY_EXHAUSTED", message);
  }
  try {
    return allocate(name, path, sizeBytes);
  } catch (error) {
    throw error instanceof PeerbufError && error.code === "SYSCALL_FAILED"
      ? heapRefusal(error, path, sizeBytes)
      : error;
  }
}

function allocate(name: string, path: string, sizeBytes: number): LinuxBuffer {
  using heap = Descriptor.open(path, O_RDWR);
  const argument = new DataView(new ArrayBuffer(24));
  argument.setBigUint64(0, BigInt(sizeBytes), true);
  argument.setUint32(12, O_RDWR | O_CLOEXEC, true);
  const bytes = new Uint8Array(argument.buffer);
  ioctl(heap, DMA_HEAP_IOCTL_ALLOC, bytes, `allocate ${sizeBytes} bytes`);
  return new LinuxBuffer(new Descriptor(argument.getUint32(8, true), `${name} heap buffer`));
}
