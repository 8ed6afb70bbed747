/**
 * RDMA importer: an RDMA NIC that takes buffers through its uverbs node.
 *
 * Each attachment is a memory region of its own. A NIC whose driver registers no dma-bufs answers
 * EOPNOTSUPP, and that is its answer: what to do about it is the driver's business (`rdmaImporter`).
 */
import { type Device, type Direction, UNLIMITED } from "@peerbuf/core";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import type { KernelAttachment, KernelImporter } from "../platform/kernel-importer.ts";
import type { MemoryRegion } from "./memory-region.ts";
import { RdmaDevice } from "./rdma-device.ts";

export class RdmaNic implements KernelImporter {
  readonly device: Device;
  readonly rdma: RdmaDevice;
  readonly #regions = new Map<number, MemoryRegion>();

  /** Its id is the path. As `RdmaDevice`: `PLATFORM_MISSING`, `SYSCALL_FAILED`. */
  constructor(path: string) {
    this.rdma = new RdmaDevice(path);
    const label = `${this.rdma.name} (${path})`;
    this.device = { id: path, label, bus: "rdma", limits: UNLIMITED };
  }

  attach(buffer: LinuxBuffer, direction: Direction): KernelAttachment {
    const region = this.rdma.register(buffer, direction);
    const { handle } = region;
    this.#regions.set(handle, region);
    return {
      handle,
      detach: () => {
        this.#regions.delete(handle);
        region[Symbol.dispose]();
      },
    };
  }

  /** The keys behind a handle of a mapping; undefined when it is gone. */
  regionOf(handle: number): MemoryRegion | undefined {
    return this.#regions.get(handle);
  }

  [Symbol.dispose](): void {
    this.rdma[Symbol.dispose]();
  }
}
