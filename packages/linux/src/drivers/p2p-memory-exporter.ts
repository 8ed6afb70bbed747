/**
 * P2P memory exporter: memory that a PCI function publishes for its peers (an NVMe controller's memory
 * buffer), with system memory for whoever cannot reach it.
 *
 * Opened on the function. A buffer begins in the function's memory and is copied to host pages, by the CPU,
 * for the first mapping that asks for system memory; there it stays. While somebody has it mapped in the
 * function's memory it cannot be moved, and such a mapping is declined.
 */
import {
  DEVICE,
  type Decline,
  type Device,
  DMA,
  decline,
  defineExporter,
  type ExporterDriver,
  FENCES,
  type Fence,
  type FenceDomain,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  P2P,
  PeerbufError,
  type PhysicalRanges,
  type Placement,
  type PlacementRequest,
  reason,
  type Storage,
} from "@peerbuf/core";
import { P2pMemory } from "../buffers/p2p-memory.ts";
import { startCpuCopy } from "../platform/cpu-copy.ts";
import { KERNEL_BUFFERS, type KernelBuffers } from "../platform/kernel-buffers.ts";

export const p2pMemoryExporter: ExporterDriver = defineExporter({
  name: "p2p-memory",
  needsDevice: true,

  open(services) {
    const device = services.get(DEVICE);
    const buffers = services.get(KERNEL_BUFFERS);
    const host = services.get(HOST_MEMORY);
    const fences = services.get(FENCES);

    return {
      api: {},
      allocate(sizeBytes, wishes) {
        const [unknown] = Object.keys(wishes);
        if (unknown !== undefined) {
          throw new PeerbufError("ARGUMENT_INVALID", `p2p-memory knows no option "${unknown}"`);
        }
        const memory = new P2pMemory(device.id, sizeBytes);
        return new P2pStorage({ device, memory, buffers, host, fences });
      },
    };
  },
});

const MOVED = reason("MOVED_TO_SYSTEM", "somebody could not reach the device's memory");

interface P2pParts {
  readonly device: Device;
  readonly memory: P2pMemory;
  readonly buffers: KernelBuffers;
  readonly host: HostMemory;
  readonly fences: FenceDomain;
}

class P2pStorage implements Storage {
  readonly types = [{ type: P2P }, { type: DMA }];
  readonly #device: Device;
  readonly #memory: P2pMemory;
  readonly #buffers: KernelBuffers;
  readonly #host: HostMemory;
  readonly #fences: FenceDomain;
  readonly #home: PhysicalRanges;
  #pages: HostPages | undefined;
  /** Mappings and pins of the device's memory. */
  #holdCount = 0;

  constructor({ device, memory, buffers, host, fences }: P2pParts) {
    this.#device = device;
    this.#memory = memory;
    this.#buffers = buffers;
    this.#host = host;
    this.#fences = fences;
    this.#home = buffers.adopt(memory);
  }

  place({ pair }: PlacementRequest): Placement | Decline {
    if (this.#pages === undefined && pair.type === P2P) {
      return { target: "device", ranges: this.#home, provider: this.#device };
    }
    if (this.#pages === undefined) {
      if (this.#holdCount > 0) {
        return decline("MAPPED_IN_DEVICE", "a peer has it mapped in the device's own memory");
      }
      this.#pages = this.#copyOut();
    }
    return { target: "system", ranges: this.#pages.ranges, reason: MOVED };
  }

  pin(request: PlacementRequest): Placement | Decline {
    const placement = this.place(request);
    if ("target" in placement) {
      this.#holdCount++;
    }
    return placement;
  }

  unpin(): void {
    this.#holdCount--;
  }

  mapped(): void {
    this.#holdCount++;
  }

  unmapped(): void {
    this.#holdCount--;
  }

  copy(target: PhysicalRanges, way: "out" | "back"): Fence {
    const { ranges } = this.#pages ?? { ranges: this.#home };
    const { sizeBytes } = this.#memory;
    const { buffer: here } = this.#buffers.find(ranges.start(0), sizeBytes);
    const { buffer: there } = this.#buffers.find(target.start(0), sizeBytes);
    return way === "out"
      ? startCpuCopy(this.#fences, here, there)
      : startCpuCopy(this.#fences, there, here);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.#touch(offset, target, (bytes) => target.set(bytes));
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.#touch(offset, source, (bytes) => bytes.set(source));
  }

  release(): void {
    this.#buffers.forget(this.#memory);
    this.#memory.close();
    if (this.#pages !== undefined) {
      this.#host.free(this.#pages);
    }
  }

  /** The bytes move to host pages, and the device's memory is empty from then on. */
  #copyOut(): HostPages {
    const pages = this.#host.allocate(this.#memory.sizeBytes);
    this.#memory.withBytesSync("read", (bytes) => this.#host.write(pages.ranges.start(0), bytes));
    return pages;
  }

  #touch(offset: number, { length }: Uint8Array, use: (bytes: Uint8Array) => void): void {
    const { ranges } = this.#pages ?? { ranges: this.#home };
    const { buffer, offset: start } = this.#buffers.find(ranges.start(0) + offset, length);
    buffer.withBytesSync("write", (bytes) => use(bytes.subarray(start, start + length)));
  }
}
