/**
 * Ground platform: a machine's platform as the kit's worlds see it.
 *
 * Knows devices by their roles as well, gives the kit's partners their engine, and remembers which memory is a device's own
 * coherent memory: the one that its engine reaches without a mapping that anybody asked for.
 */
import {
  BARS,
  type Bars,
  type Clock,
  type CoherentMemory,
  DEVICE_DMA,
  type Device,
  type DeviceDma,
  type DmaLayer,
  type Platform,
  type ServiceRegistry,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine } from "../ground/dma-engine.ts";
import type { KitServices } from "./kit-device.ts";

export class GroundPlatform implements Platform {
  readonly name: string;
  readonly clock: Clock;
  readonly dma: DmaLayer;
  readonly #inner: Platform;
  readonly #roles: Readonly<Record<string, string>>;
  readonly #engineOf: (id: string) => DmaEngine | undefined;
  readonly #coherent = new Map<Device, Set<CoherentMemory>>();
  readonly #kitServices = new Map<string, KitServices>();

  /** `roles`: ids of devices by role. `engineOf`: the kit's engine in a device, if it has one. */
  constructor(
    inner: Platform,
    roles: Readonly<Record<string, string>>,
    engineOf: (id: string) => DmaEngine | undefined,
  ) {
    this.name = inner.name;
    this.clock = inner.clock;
    this.dma = inner.dma;
    this.#inner = inner;
    this.#roles = roles;
    this.#engineOf = engineOf;
  }

  device(id: string): Device {
    return this.#inner.device(this.#roles[id] ?? id);
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    this.#inner.provide(device, {
      set: (token, service) => {
        if (device !== undefined && Object.is(token, DEVICE_DMA)) {
          registry.set(DEVICE_DMA, this.#noted(device, service as DeviceDma));
        } else {
          registry.set(token, service);
        }
      },
    });
    const engine = device === undefined ? undefined : this.#engineOf(device.id);
    if (engine !== undefined) {
      registry.set(DMA_ENGINE, engine);
    }
  }

  release(device: Device | undefined): void {
    this.#inner.release?.(device);
  }

  /** What the kit's own device needs, as a driver of it would get it. */
  servicesOf(device: Device): KitServices {
    let services = this.#kitServices.get(device.id);
    if (services === undefined) {
      const found = new Map<unknown, unknown>();
      this.provide(device, { set: (token, service) => void found.set(token, service) });
      const [bar] = [...(found.get(BARS) as Bars).memory].sort(
        (one, other) => other.sizeBytes - one.sizeBytes,
      );
      services = { dma: found.get(DEVICE_DMA) as DeviceDma, bar };
      this.#kitServices.set(device.id, services);
    }
    return services;
  }

  /** Is all of this in coherent memory of the device? */
  isOwn(device: Device, address: number, lengthBytes: number): boolean {
    for (const { deviceAddress, sizeBytes } of this.#coherent.get(device) ?? []) {
      if (address >= deviceAddress && address + lengthBytes <= deviceAddress + sizeBytes) {
        return true;
      }
    }
    return false;
  }

  #noted(device: Device, dma: DeviceDma): DeviceDma {
    const held = this.#coherent.get(device) ?? new Set();
    this.#coherent.set(device, held);
    return {
      map: (ranges, direction) => dma.map(ranges, direction),
      unmap: (segments, direction) => dma.unmap(segments, direction),
      allocateCoherent(sizeBytes) {
        const memory = dma.allocateCoherent(sizeBytes);
        held.add(memory);
        return memory;
      },
      freeCoherent(memory) {
        dma.freeCoherent(memory);
        held.delete(memory);
      },
    };
  }
}
