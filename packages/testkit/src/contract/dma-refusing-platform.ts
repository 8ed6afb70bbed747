/**
 * DMA-refusing platform: a platform that at times maps nothing for core, as one without IOVA space or P2P would.
 */
import type { Device, DmaLayer, DmaRefusal, Platform, ServiceRegistry } from "@peerbuf/core";

const REFUSAL: DmaRefusal = {
  answer: "refused",
  errno: "EIO",
  code: "REFUSED_BY_SUITE",
  text: "the suite lets no device map anything",
};

/** A driver's own mappings go on. */
export class RefusingPlatform implements Platform {
  readonly name: string;
  readonly clock: Platform["clock"];
  readonly dma: DmaLayer;
  readonly #inner: Platform;
  isRefusing = false;

  constructor(inner: Platform) {
    this.name = inner.name;
    this.clock = inner.clock;
    this.#inner = inner;
    const { dma } = inner;
    this.dma = {
      name: dma.name,
      map: (request) => (this.isRefusing ? REFUSAL : dma.map(request)),
      unmap: (...list) => dma.unmap(...list),
    };
  }

  device(id: string): Device {
    return this.#inner.device(id);
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    this.#inner.provide(device, registry);
  }

  release(device: Device | undefined): void {
    this.#inner.release?.(device);
  }
}

/** The same platform, whose DMA layer refuses from the start. */
export function withoutDma(inner: Platform): Platform {
  const platform = new RefusingPlatform(inner);
  platform.isRefusing = true;
  return platform;
}
