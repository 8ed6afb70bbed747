/**
 * Starved platform: a platform whose host memory runs out at a moment that a check chooses.
 */
import {
  type Device,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  PeerbufError,
  type Platform,
  type ServiceRegistry,
} from "@peerbuf/core";

export class StarvedPlatform implements Platform {
  readonly name: string;
  readonly clock: Platform["clock"];
  readonly dma: Platform["dma"];
  readonly #inner: Platform;
  /** Allocations until one fails; 0: none does. */
  #left = 0;
  #hasStarved = false;

  constructor(inner: Platform) {
    this.name = inner.name;
    this.clock = inner.clock;
    this.dma = inner.dma;
    this.#inner = inner;
  }

  /** Did an allocation fail since `starve`? */
  get hasStarved(): boolean {
    return this.#hasStarved;
  }

  /** The `count`th allocation from now fails, and all after it. */
  starve(count: number): void {
    this.#left = count;
    this.#hasStarved = false;
  }

  feed(): void {
    this.#left = 0;
  }

  device(id: string): Device {
    return this.#inner.device(id);
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    this.#inner.provide(device, {
      set: (token, service) =>
        registry.set(
          token,
          (token as unknown) === HOST_MEMORY
            ? (this.#scarce(service as HostMemory) as typeof service)
            : service,
        ),
    });
  }

  release(device: Device | undefined): void {
    this.#inner.release?.(device);
  }

  #scarce(memory: HostMemory): HostMemory {
    return {
      allocate: (sizeBytes, options) => this.#allocate(() => memory.allocate(sizeBytes, options)),
      free: (pages) => memory.free(pages),
      read: (address, target) => memory.read(address, target),
      write: (address, source) => memory.write(address, source),
      ...(memory.copy && { copy: memory.copy.bind(memory) }),
    };
  }

  #allocate(allocate: () => HostPages): HostPages {
    if (this.#left === 1) {
      this.#hasStarved = true;
      throw new PeerbufError("MEMORY_EXHAUSTED", "the host has no page left (made so by a check)");
    }
    if (this.#left > 1) {
      this.#left--;
    }
    return allocate();
  }
}
