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
  DEVICE_DMA,
  type Device,
  type DeviceDma,
  type DmaLayer,
  type Platform,
  type ServiceRegistry,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine } from "../ground/dma-engine.ts";
import { DRIVER_STATE, type DriverState } from "../ground/driver-state.ts";
import type { KitServices } from "./kit-device.ts";

export class GroundPlatform implements Platform {
  readonly name: string;
  readonly clock: Clock;
  readonly dma: DmaLayer;
  readonly #inner: Platform;
  readonly #roles: Readonly<Record<string, string>>;
  readonly #engineOf: (id: string) => DmaEngine | undefined;
  readonly #own = new Map<Device, Map<object, Own>>();
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
    const engine = device === undefined ? undefined : this.#engineOf(device.id);
    this.#inner.provide(device, {
      set: (token, service) => {
        if (engine !== undefined && Object.is(token, BARS)) {
          registry.set(BARS, largestFirst(service as Bars));
        } else if (device !== undefined && Object.is(token, DEVICE_DMA)) {
          registry.set(DEVICE_DMA, this.#noted(device, service as DeviceDma));
        } else {
          registry.set(token, service);
        }
      },
    });
    registry.set(DRIVER_STATE, UNTRACKED);
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
      const { memory: bars } = found.get(BARS) as Bars;
      services = { dma: this.#kitDma(device, found.get(DEVICE_DMA) as DeviceDma), bars };
      this.#kitServices.set(device.id, services);
    }
    return services;
  }

  /** Is all of this in coherent memory of the device, or in what the kit's own engine has mapped for a copy? */
  isOwn(device: Device, address: number, lengthBytes: number): boolean {
    for (const { start, end } of this.#own.get(device)?.values() ?? []) {
      if (address >= start && address + lengthBytes <= end) {
        return true;
      }
    }
    return false;
  }

  #noted(device: Device, dma: DeviceDma): DeviceDma {
    const held = this.#ownOf(device);
    return {
      map: (ranges, direction) => dma.map(ranges, direction),
      unmap: (segments, direction) => dma.unmap(segments, direction),
      allocateCoherent(sizeBytes) {
        const memory = dma.allocateCoherent(sizeBytes);
        const start = memory.deviceAddress;
        held.set(memory, { start, end: start + memory.sizeBytes });
        return memory;
      },
      freeCoherent(memory) {
        dma.freeCoherent(memory);
        held.delete(memory);
      },
    };
  }

  /** No driver asked for the mappings of the kit's engine, so no checker knows of them. */
  #kitDma(device: Device, dma: DeviceDma): KitServices["dma"] {
    const held = this.#ownOf(device);
    return {
      map(ranges) {
        const segments = dma.map(ranges, "bidirectional");
        if (!("answer" in segments)) {
          for (let index = 0; index < segments.count; index++) {
            const start = segments.address(index);
            held.set({ segments, index }, { start, end: start + segments.lengthBytes(index) });
          }
        }
        return segments;
      },
      unmap(segments) {
        dma.unmap(segments, "bidirectional");
        for (const key of held.keys()) {
          if ("segments" in key && key.segments === segments) {
            held.delete(key);
          }
        }
      },
    };
  }

  #ownOf(device: Device): Map<object, Own> {
    let held = this.#own.get(device);
    if (held === undefined) {
      held = new Map();
      this.#own.set(device, held);
    }
    return held;
  }
}

/** Nothing is reduced on a machine, so nobody asks what a call changes. */
const UNTRACKED: DriverState = { part: () => ({ looks() {}, changes() {} }) };

/** The memory of a device of the kit is behind its first BAR; the largest one lies above 4 GiB wherever there is one. */
const largestFirst = ({ memory }: Bars): Bars => ({
  memory: [...memory].sort((one, other) => other.sizeBytes - one.sizeBytes),
});

/** Device addresses from `start` up to `end`. */
interface Own {
  readonly start: number;
  readonly end: number;
}
