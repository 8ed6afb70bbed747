/**
 * Linux platform: core's platform interface on the real kernel.
 *
 * Drivers that need host memory, a clock and fences run on it as they do on the modelled machine. Devices
 * are those whose nodes are named in the options, this machine's PCI functions by their BDF, and devices of
 * this process, which take part in the negotiation and touch the bytes through the CPU. Registers and interrupts belong to kernel drivers and
 * are not offered: a driver that wants them is refused with `SERVICE_MISSING`.
 */
import { existsSync } from "node:fs";
import {
  CLOCK,
  type Clock,
  DEVICE,
  type Device,
  HOST_MEMORY,
  PeerbufError,
  type Platform,
  type ServiceRegistry,
  UNLIMITED,
} from "@peerbuf/core";
import { kernelFences } from "../fences/kernel-fence.ts";
import { AddressBook } from "./address-book.ts";
import { DrmImporter } from "./drm-importer.ts";
import { KERNEL_BUFFERS, type KernelBuffers } from "./kernel-buffers.ts";
import { KernelDma } from "./kernel-dma.ts";
import type { KernelImporter } from "./kernel-importer.ts";
import { bestSource, LinuxHostMemory, type MemorySource } from "./linux-host-memory.ts";

const PCI = "/sys/bus/pci/devices";

export interface LinuxPlatformOptions {
  /** DRM nodes to open as devices, e.g. `/dev/dri/renderD128`. Their id is the path. */
  readonly drm?: readonly string[];
  /** Other devices with a kernel driver; the platform closes them. */
  readonly importers?: readonly KernelImporter[];
  /** Ids of devices that are this process itself; `process` unless told otherwise. */
  readonly process?: readonly string[];
  /** Where host pages come from; the best there is unless told otherwise. */
  readonly memory?: MemorySource;
}

export interface LinuxPlatform extends Platform, Disposable {
  /** Where host pages come from. */
  readonly memory: MemorySource;
  /** What was given out and not given back. */
  handles(): { readonly mappings: number; readonly hostAllocations: number };
  /** Closes the devices that were opened. Close the framework first. */
  close(): void;
}

/** `PLATFORM_MISSING` or `SYSCALL_FAILED` when a node cannot be opened; nothing stays open then. */
export function createLinuxPlatform(options: LinuxPlatformOptions = {}): LinuxPlatform {
  return new KernelPlatform(options);
}

class KernelPlatform implements LinuxPlatform {
  readonly name = "linux";
  readonly clock: Clock = kernelFences.clock;
  readonly dma: KernelDma;
  readonly #book = new AddressBook();
  readonly #memory: LinuxHostMemory;
  readonly #importers = new Map<string, KernelImporter>();
  readonly #devices = new Map<string, Device>();
  readonly #buffers: KernelBuffers = {
    adopt: (buffer) => this.#book.enter(buffer),
    forget: (buffer) => this.#book.remove(buffer),
    find: (address, lengthBytes) => this.#book.find(address, lengthBytes),
    stretchesOf: ({ segments }) =>
      Array.from({ length: segments.count }, (_, index) =>
        this.#book.find(segments.address(index), segments.lengthBytes(index)),
      ),
    handlesOf: ({ segments }) => this.dma.handlesOf(segments),
  };

  constructor({ drm = [], importers = [], process = ["process"], memory }: LinuxPlatformOptions) {
    this.#memory = new LinuxHostMemory(this.#book, memory ?? bestSource());
    this.dma = new KernelDma(this.#book, (device) => this.#importers.get(device.id));
    for (const id of process) {
      this.#devices.set(id, { id, label: "this process", bus: "process", limits: UNLIMITED });
    }
    try {
      for (const importer of importers) {
        this.#add(importer);
      }
      for (const path of drm) {
        this.#add(new DrmImporter(path));
      }
    } catch (error) {
      this.close();
      // Those that were not reached are ours to close too.
      for (const importer of importers) {
        importer[Symbol.dispose]();
      }
      throw error;
    }
  }

  get memory(): MemorySource {
    return this.#memory.source;
  }

  device(id: string): Device {
    const device = this.#devices.get(id) ?? this.#pciFunction(id);
    if (device === undefined) {
      const known = [...this.#devices.keys()].join(", ");
      throw new PeerbufError(
        "DEVICE_UNKNOWN",
        `${this.name} has no device ${id}; it has: ${known}`,
      );
    }
    return device;
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    registry.set(HOST_MEMORY, this.#memory);
    registry.set(CLOCK, this.clock);
    registry.set(KERNEL_BUFFERS, this.#buffers);
    if (device !== undefined) {
      registry.set(DEVICE, device);
    }
  }

  handles(): { readonly mappings: number; readonly hostAllocations: number } {
    return { mappings: this.dma.liveMappings, hostAllocations: this.#memory.liveAllocations };
  }

  /** The importers stay known: a closed one refuses by itself. */
  close(): void {
    for (const importer of this.#importers.values()) {
      importer[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Any PCI function of this machine, by its BDF. */
  #pciFunction(id: string): Device | undefined {
    if (!/^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(id) || !existsSync(`${PCI}/${id}`)) {
      return undefined;
    }
    const device = { id, label: `PCI function ${id}`, bus: "pci", limits: UNLIMITED };
    this.#devices.set(id, device);
    return device;
  }

  #add(importer: KernelImporter): void {
    const { device } = importer;
    if (this.#devices.has(device.id)) {
      importer[Symbol.dispose]();
      throw new PeerbufError("ARGUMENT_INVALID", `two devices are called ${device.id}`);
    }
    this.#devices.set(device.id, device);
    this.#importers.set(device.id, importer);
  }
}
