/**
 * Ground services: what drivers of the light world find under core's tokens.
 *
 * Real bytes behind each of them. Device memory is one BAR; nothing is made before a driver looks at it, because
 * a world lives for microseconds.
 */
import {
  BARS,
  type Bar,
  type Bars,
  CLOCK,
  type CoherentMemory,
  DEVICE_DMA,
  type Device,
  type DeviceDma,
  type DmaAddress,
  HOST_MEMORY,
  type HostMemory,
  INTERRUPTS,
  type Interrupts,
  PAGE_BYTES,
  PeerbufError,
  type PhysicalAddress,
  type PhysicalRanges,
  type ServiceRegistry,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine } from "./dma-engine.ts";
import type { Lane } from "./ground-clock.ts";
import type { GroundDma } from "./ground-dma.ts";
import type { GroundMemory } from "./ground-memory.ts";

/** Parts of a world that services are made of. */
export interface ServiceParts {
  readonly memory: GroundMemory;
  readonly dma: GroundDma;
  readonly deviceMemoryBytes: number;
  readonly lane: Lane;
  engineOf(device: Device): DmaEngine;
  indexOf(device: Device): number;
}

export function provideServices(
  parts: ServiceParts,
  device: Device | undefined,
  registry: ServiceRegistry,
): void {
  registry.set(CLOCK, parts.lane);
  registry.set(HOST_MEMORY, hostMemoryOn(parts.memory));
  if (device !== undefined) {
    registry.set(BARS, new GroundBars(parts, device));
    registry.set(DEVICE_DMA, new GroundDeviceDma(parts, device));
    registry.set(DMA_ENGINE, parts.engineOf(device));
    registry.set(INTERRUPTS, NO_INTERRUPTS);
  }
}

/** An engine of the light world tells its driver by a call: its vectors stay silent. */
const NO_INTERRUPTS: Interrupts = { on: () => ({ off() {} }) };

export function hostMemoryOn(memory: GroundMemory): HostMemory {
  return {
    allocate: (sizeBytes, options) => ({
      ranges: memory.allocateHost(sizeBytes, options?.contiguous ?? false),
    }),
    free({ ranges }) {
      if (!memory.free(ranges)) {
        throw new PeerbufError("HANDLE_CLOSED", "these pages were freed before");
      }
    },
    read: (address, target) => void memory.read(address, target),
    write: (address, source) => void memory.write(address, source),
  };
}

class GroundBars implements Bars {
  readonly #parts: ServiceParts;
  readonly #device: Device;
  #memory: readonly Bar[] | undefined;

  constructor(parts: ServiceParts, device: Device) {
    this.#parts = parts;
    this.#device = device;
  }

  get memory(): readonly Bar[] {
    this.#memory ??= [barOf(this.#parts, this.#device)];
    return this.#memory;
  }
}

function barOf({ memory, deviceMemoryBytes, indexOf }: ServiceParts, device: Device): Bar {
  const start = memory.allocateDevice(device.id, indexOf(device), deviceMemoryBytes);
  const checked = (offset: number, lengthBytes: number): number => {
    if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= deviceMemoryBytes)) {
      const message = `bytes ${offset} to ${offset + lengthBytes} of a BAR of ${deviceMemoryBytes}`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    return start + offset;
  };
  const word = new DataView(new ArrayBuffer(4));
  const wordBytes = new Uint8Array(word.buffer);
  return {
    index: 0,
    start,
    sizeBytes: deviceMemoryBytes,
    prefetchable: true,
    read32(offset) {
      memory.read(checked(offset, 4), wordBytes);
      return word.getUint32(0, true);
    },
    write32(offset, value) {
      word.setUint32(0, value, true);
      memory.write(checked(offset, 4), wordBytes);
    },
    read: (offset, target) => void memory.read(checked(offset, target.length), target),
    write: (offset, source) => void memory.write(checked(offset, source.length), source),
  };
}

class GroundDeviceDma implements DeviceDma {
  readonly #parts: ServiceParts;
  readonly #device: Device;
  readonly #coherent = new Map<CoherentMemory, PhysicalRanges>();

  constructor(parts: ServiceParts, device: Device) {
    this.#parts = parts;
    this.#device = device;
  }

  map(
    ranges: PhysicalRanges,
    direction: Parameters<DeviceDma["map"]>[1],
  ): ReturnType<DeviceDma["map"]> {
    const { limits } = this.#device;
    const request = { client: this.#device, ranges, direction, limits };
    return this.#parts.dma.map({ ...request, provider: undefined, route: "system" });
  }

  unmap(segments: Parameters<DeviceDma["unmap"]>[0]): void {
    this.#parts.dma.unmap(this.#device, segments);
  }

  allocateCoherent(sizeBytes: number): CoherentMemory {
    const { memory } = this.#parts;
    const bytes = Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES;
    const ranges = memory.allocateHost(bytes, true);
    const start = ranges.start(0);
    const segments = this.map(ranges, "bidirectional");
    if ("answer" in segments) {
      memory.free(ranges);
      throw new PeerbufError("MEMORY_EXHAUSTED", segments.text);
    }
    const held: CoherentMemory & { readonly segments: typeof segments } = {
      segments,
      deviceAddress: segments.address(0) as DmaAddress,
      sizeBytes: bytes,
      read: (offset, target) => void memory.read((start + offset) as PhysicalAddress, target),
      write: (offset, source) => void memory.write((start + offset) as PhysicalAddress, source),
    };
    this.#coherent.set(held, ranges);
    return held;
  }

  freeCoherent(held: CoherentMemory): void {
    const ranges = this.#coherent.get(held);
    if (ranges === undefined) {
      throw new PeerbufError("HANDLE_CLOSED", "this coherent memory was freed before");
    }
    this.#coherent.delete(held);
    this.unmap((held as CoherentMemory & { segments: Parameters<DeviceDma["unmap"]>[0] }).segments);
    this.#parts.memory.free(ranges);
  }
}
