/**
 * Checked platform: a platform whose mappings are checked, and whose services know who holds them.
 */
import {
  BARS,
  CLOCK,
  type Clock,
  DEVICE_DMA,
  type Device,
  type DmaLayer,
  HOST_MEMORY,
  INTERRUPTS,
  type Platform,
  type ServiceRegistry,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine } from "../ground/dma-engine.ts";
import { CheckedDma } from "./checked-dma.ts";
import { CheckedEngine } from "./checked-engine.ts";
import {
  CheckedClock,
  CheckedDeviceDma,
  CheckedHostMemory,
  CheckedInterrupts,
  type Client,
  rememberBars,
} from "./checked-services.ts";
import type { Watch } from "./watch.ts";

/** Who asks for services now; `CheckedFramework` says so before it opens a driver. */
export interface Opening extends Client {
  /** Services that look back when the driver is closed. */
  readonly closing: { closed(): void }[];
}

export class CheckedPlatform implements Platform {
  readonly name: string;
  readonly clock: Clock;
  readonly dma: DmaLayer;
  readonly #inner: Platform;
  readonly #watch: Watch;
  opening: Opening | undefined;

  constructor(inner: Platform, watch: Watch) {
    this.name = inner.name;
    this.clock = inner.clock;
    this.#inner = inner;
    this.#watch = watch;
    this.dma = new CheckedDma(inner.dma, watch);
  }

  device(id: string): Device {
    return this.#inner.device(id);
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    const { opening } = this;
    if (opening === undefined) {
      this.#inner.provide(device, registry);
      return;
    }
    registry.set(CLOCK, new CheckedClock(this.clock, this.#watch, opening));
    this.#inner.provide(device, {
      set: (token, service) => registry.set(token, this.#checked(token, service, opening)),
    });
  }

  release(device: Device | undefined): void {
    this.#inner.release?.(device);
  }

  /** The same service, watched; what the kit does not know goes through as it is. */
  #checked<T>(token: unknown, service: T, opening: Opening): T {
    const watched: unknown = this.#watched(token, service, opening);
    return (watched ?? service) as T;
  }

  #watched(token: unknown, service: unknown, opening: Opening): unknown {
    const { device } = opening;
    switch (token) {
      case HOST_MEMORY:
        return new CheckedHostMemory(service as never, this.#watch, opening);
      case CLOCK:
        return new CheckedClock(service as Clock, this.#watch, opening);
      case INTERRUPTS:
        return kept(opening, new CheckedInterrupts(service as never, this.#watch, opening));
      case BARS:
        return device && void rememberBars(this.#watch, device, service as never);
      case DEVICE_DMA:
        return (
          device &&
          kept(opening, new CheckedDeviceDma(service as never, this.#watch, { ...opening, device }))
        );
      case DMA_ENGINE:
        return new CheckedEngine(service as DmaEngine, this.#watch, opening);
      default:
        return undefined;
    }
  }
}

function kept<T extends { closed(): void }>(opening: Opening, service: T): T {
  opening.closing.push(service);
  return service;
}
