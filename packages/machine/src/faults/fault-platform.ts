/**
 * Fault platform: a platform that refuses its drivers host memory, coherent memory or DMA addresses.
 *
 * Passes everything on as it is unless a rule strikes. A refusal takes nothing and looks like the platform's
 * own: memory is exhausted, addresses are (ENOMEM).
 */
import {
  type Clock,
  type CoherentMemory,
  DEVICE_DMA,
  type Device,
  type DeviceDma,
  type DmaLayer,
  type DmaRefusal,
  HOST_MEMORY,
  type HostMemory,
  PeerbufError,
  type Platform,
  type ServiceRegistry,
} from "@peerbuf/core";
import type { FaultSource } from "./fault-port.ts";
import type { OccasionKind } from "./fault-rule.ts";

/** What a driver without hardware is called in rules and records. */
const NO_DEVICE = "cpu";

export class FaultPlatform implements Platform {
  readonly name: string;
  readonly clock: Clock;
  readonly dma: DmaLayer;
  readonly #inner: Platform;
  readonly #faults: FaultSource;

  constructor(inner: Platform, faults: FaultSource) {
    this.name = inner.name;
    this.clock = inner.clock;
    this.#inner = inner;
    this.#faults = faults;
    const { dma } = inner;
    this.dma = {
      name: dma.name,
      map: (request) => {
        const text = refusal(faults, "map", request.client.id, request.ranges.sizeBytes);
        return text === undefined ? dma.map(request) : noAddresses(text);
      },
      unmap: (client, segments, direction) => dma.unmap(client, segments, direction),
    };
  }

  device(id: string): Device {
    return this.#inner.device(id);
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    const owner = device?.id ?? NO_DEVICE;
    this.#inner.provide(device, {
      set: (token, service) => {
        if (Object.is(token, HOST_MEMORY)) {
          registry.set(HOST_MEMORY, this.#hostMemory(owner, service as HostMemory));
        } else if (Object.is(token, DEVICE_DMA)) {
          registry.set(DEVICE_DMA, this.#deviceDma(owner, service as DeviceDma));
        } else {
          registry.set(token, service);
        }
      },
    });
  }

  release(device: Device | undefined): void {
    this.#inner.release?.(device);
  }

  #hostMemory(owner: string, memory: HostMemory): HostMemory {
    return {
      allocate: (sizeBytes, options) => {
        refuse(this.#faults, "memory", owner, sizeBytes);
        return memory.allocate(sizeBytes, options);
      },
      free: (pages) => memory.free(pages),
      read: (address, target) => memory.read(address, target),
      write: (address, source) => memory.write(address, source),
      ...(memory.copy && { copy: memory.copy.bind(memory) }),
    };
  }

  #deviceDma(owner: string, dma: DeviceDma): DeviceDma {
    return {
      map: (ranges, direction) => {
        const text = refusal(this.#faults, "map", owner, ranges.sizeBytes);
        return text === undefined ? dma.map(ranges, direction) : noAddresses(text);
      },
      unmap: (segments, direction) => dma.unmap(segments, direction),
      allocateCoherent: (sizeBytes): CoherentMemory => {
        refuse(this.#faults, "coherent", owner, sizeBytes);
        return dma.allocateCoherent(sizeBytes);
      },
      freeCoherent: (memory) => dma.freeCoherent(memory),
    };
  }
}

/** Why it is refused; undefined when it is not. */
function refusal(
  faults: FaultSource,
  kind: OccasionKind,
  device: string,
  lengthBytes: number,
): string | undefined {
  const occasion = { kind, device, lengthBytes };
  const rule = faults.strike(occasion);
  if (rule === undefined) {
    return undefined;
  }
  const text = `${lengthBytes} bytes for ${device} are refused by fault ${rule.name}`;
  faults.report(rule, occasion, text);
  return text;
}

function refuse(faults: FaultSource, kind: OccasionKind, device: string, sizeBytes: number): void {
  const text = refusal(faults, kind, device, sizeBytes);
  if (text !== undefined) {
    throw new PeerbufError("MEMORY_EXHAUSTED", text);
  }
}

const noAddresses = (text: string): DmaRefusal => ({
  answer: "refused",
  errno: "ENOMEM",
  code: "FAULT_INJECTED",
  text,
});
