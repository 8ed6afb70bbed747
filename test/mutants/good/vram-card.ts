/**
 * VRAM card: a device's memory given out page by page, and all buffers in it. Mutants are subclasses.
 */
import {
  BARS,
  type Bar,
  DEVICE,
  type Device,
  FENCES,
  type FenceContext,
  type FenceDomain,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  PAGE_BYTES,
  PeerbufError,
  type PhysicalAddress,
  PhysicalRanges,
  reason,
  type Services,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine } from "@peerbuf/testkit";
import type { ByteAccess } from "./range-bytes.ts";
import type { VramBuffer } from "./vram.ts";

export const RESET = reason("RESET", "the card is being reset");

/** Where a buffer is: on the card from an offset of its BAR on, or in host pages. */
export interface Home {
  readonly ranges: PhysicalRanges;
  readonly offset: number | undefined;
  readonly pages: HostPages | undefined;
}

export class VramCard {
  readonly bar: Bar;
  readonly device: Device;
  readonly memory: HostMemory;
  readonly engine: DmaEngine;
  readonly domain: FenceDomain;
  readonly access: ByteAccess;
  readonly buffers: VramBuffer[] = [];
  readonly #taken: Uint8Array;

  constructor(services: Services) {
    const [bar] = services.get(BARS).memory;
    if (bar === undefined) {
      throw new PeerbufError("DEVICE_FAILED", "the device has no memory BAR");
    }
    this.bar = bar;
    this.device = services.get(DEVICE);
    this.memory = services.get(HOST_MEMORY);
    this.engine = services.get(DMA_ENGINE);
    this.domain = services.get(FENCES);
    this.#taken = new Uint8Array(bar.sizeBytes / PAGE_BYTES);
    const { memory } = this;
    const isOnCard = (address: number): boolean =>
      address >= bar.start && address < bar.start + bar.sizeBytes;
    this.access = {
      read: (at, target) =>
        isOnCard(at) ? bar.read(at - bar.start, target) : memory.read(at, target),
      write: (at, source) =>
        isOnCard(at) ? bar.write(at - bar.start, source) : memory.write(at, source),
    };
  }

  /** Cleared room on the card, first fit; `undefined` when there is none. */
  take(sizeBytes: number): Home | undefined {
    const pages = this.pagesFor(sizeBytes);
    const needed = sizeBytes / PAGE_BYTES;
    for (let at = 0; at + needed <= this.#taken.length; at++) {
      if (this.#taken.subarray(at, at + pages).every((each) => each === 0)) {
        this.#taken.fill(1, at, at + pages);
        const offset = at * PAGE_BYTES;
        this.clear(offset, sizeBytes);
        const start = (this.bar.start + offset) as PhysicalAddress;
        return { ranges: PhysicalRanges.of(start, sizeBytes), offset, pages: undefined };
      }
    }
    return undefined;
  }

  pagesFor(sizeBytes: number): number {
    return sizeBytes / PAGE_BYTES;
  }

  clear(offset: number, sizeBytes: number): void {
    this.bar.write(offset, new Uint8Array(sizeBytes));
  }

  takeHost(sizeBytes: number): Home | undefined {
    try {
      const pages = this.memory.allocate(sizeBytes);
      return { ranges: pages.ranges, offset: undefined, pages };
    } catch {
      return undefined; // The buffer stays where it is.
    }
  }

  give({ offset, pages, ranges }: Home): void {
    if (pages !== undefined) {
      this.memory.free(pages);
    } else if (offset !== undefined) {
      this.#taken.fill(0, offset / PAGE_BYTES, (offset + ranges.sizeBytes) / PAGE_BYTES);
    }
  }

  timeline(name: string): FenceContext {
    return this.domain.createContext({ driverName: "vram", timelineName: name });
  }

  evict(): void {
    for (const buffer of this.buffers) {
      buffer.evict();
    }
  }

  async reset(): Promise<void> {
    await Promise.all(this.buffers.map(({ control }) => control.revoke(RESET)));
  }

  restart(): void {
    for (const { control } of this.buffers) {
      control.restore();
    }
  }
}
