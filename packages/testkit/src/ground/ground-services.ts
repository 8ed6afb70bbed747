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
  type HostPages,
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

/** The world that services are made of. */
export interface ServiceHost {
  readonly memory: GroundMemory;
  readonly dma: GroundDma;
  readonly deviceMemoryBytes: number;
  engineOf(device: Device): DmaEngine;
  indexOf(device: Device): number;
}

/** `lane`: where the driver's own events go. */
export function provideServices(
  host: ServiceHost,
  device: Device | undefined,
  lane: Lane,
  registry: ServiceRegistry,
): void {
  registry.set(CLOCK, lane);
  registry.set(HOST_MEMORY, new GroundHostMemory(host.memory));
  if (device !== undefined) {
    registry.set(BARS, new GroundBars(host, device));
    registry.set(DEVICE_DMA, new GroundDeviceDma(host, device));
    registry.set(DMA_ENGINE, host.engineOf(device));
    registry.set(INTERRUPTS, NO_INTERRUPTS);
  }
}

/** An engine of the light world tells its driver by a call: its vectors stay silent. */
const NO_INTERRUPTS: Interrupts = { on: () => ({ off() {} }) };

class GroundHostMemory implements HostMemory {
  readonly #memory: GroundMemory;

  constructor(memory: GroundMemory) {
    this.#memory = memory;
  }

  allocate(sizeBytes: number, options?: { contiguous?: boolean }): HostPages {
    return { ranges: this.#memory.allocateHost(sizeBytes, options?.contiguous ?? false) };
  }

  free({ ranges }: HostPages): void {
    if (!this.#memory.free(ranges)) {
      throw new PeerbufError("HANDLE_CLOSED", "these pages were freed before");
    }
  }

  read(address: PhysicalAddress, target: Uint8Array): void {
    this.#memory.read(address, target);
  }

  write(address: PhysicalAddress, source: Uint8Array): void {
    this.#memory.write(address, source);
  }
}

class GroundBars implements Bars {
  readonly #host: ServiceHost;
  readonly #device: Device;
  #memory: readonly Bar[] | undefined;

  constructor(host: ServiceHost, device: Device) {
    this.#host = host;
    this.#device = device;
  }

  get memory(): readonly Bar[] {
    this.#memory ??= [new GroundBar(this.#host, this.#device)];
    return this.#memory;
  }
}

/** The bytes of one register access. */
const WORD = new DataView(new ArrayBuffer(4));
const WORD_BYTES = new Uint8Array(WORD.buffer);

class GroundBar implements Bar {
  readonly index = 0;
  readonly start: PhysicalAddress;
  readonly sizeBytes: number;
  readonly prefetchable = true;
  readonly #memory: GroundMemory;

  constructor(host: ServiceHost, device: Device) {
    this.#memory = host.memory;
    this.sizeBytes = host.deviceMemoryBytes;
    this.start = host.memory.allocateDevice(device.id, host.indexOf(device), this.sizeBytes);
  }

  read32(offset: number): number {
    this.read(offset, WORD_BYTES);
    return WORD.getUint32(0, true);
  }

  write32(offset: number, value: number): void {
    WORD.setUint32(0, value, true);
    this.write(offset, WORD_BYTES);
  }

  read(offset: number, target: Uint8Array): void {
    this.#memory.read(this.#checked(offset, target.length), target);
  }

  write(offset: number, source: Uint8Array): void {
    this.#memory.write(this.#checked(offset, source.length), source);
  }

  #checked(offset: number, lengthBytes: number): number {
    if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= this.sizeBytes)) {
      const message = `bytes ${offset} to ${offset + lengthBytes} of a BAR of ${this.sizeBytes}`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    return this.start + offset;
  }
}

class GroundDeviceDma implements DeviceDma {
  readonly #host: ServiceHost;
  readonly #device: Device;
  /** Made with the first: few drivers of the light world have any. */
  #coherent: Map<CoherentMemory, PhysicalRanges> | undefined;

  constructor(host: ServiceHost, device: Device) {
    this.#host = host;
    this.#device = device;
  }

  map(
    ranges: PhysicalRanges,
    direction: Parameters<DeviceDma["map"]>[1],
  ): ReturnType<DeviceDma["map"]> {
    const { limits } = this.#device;
    const request = { client: this.#device, ranges, direction, limits };
    return this.#host.dma.map({ ...request, provider: undefined, route: "system" });
  }

  unmap(segments: Parameters<DeviceDma["unmap"]>[0]): void {
    this.#host.dma.unmap(this.#device, segments);
  }

  allocateCoherent(sizeBytes: number): CoherentMemory {
    const { memory } = this.#host;
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
    this.#coherent ??= new Map();
    this.#coherent.set(held, ranges);
    return held;
  }

  freeCoherent(held: CoherentMemory): void {
    const ranges = this.#coherent?.get(held);
    if (ranges === undefined) {
      throw new PeerbufError("HANDLE_CLOSED", "this coherent memory was freed before");
    }
    this.#coherent?.delete(held);
    this.unmap((held as CoherentMemory & { segments: Parameters<DeviceDma["unmap"]>[0] }).segments);
    this.#host.memory.free(ranges);
  }
}
