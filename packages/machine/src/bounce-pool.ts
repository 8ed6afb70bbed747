/**
 * Bounce pool: RAM in slots of 2 KiB, into which data is copied that a device is not to see in place.
 *
 * As swiotlb has it (kernel/dma/swiotlb.c, Linux 6.12): at most 128 slots, 256 KiB, for one buffer. Each
 * buffer starts on a page, so that a device sees the same offset in the page as in the original.
 */
import { assert, PAGE_BYTES } from "@peerbuf/core";
import { PageAllocator } from "./page-allocator.ts";

export const SLOT_BYTES = 2048;
/** Longest buffer, in bytes. */
export const BOUNCE_BYTES_MAX: number = 128 * SLOT_BYTES;
/** Of the whole pool. */
export const BOUNCE_POOL_BYTES_DEFAULT: number = 64 * 2 ** 20;

const SLOTS_PER_PAGE = PAGE_BYTES / SLOT_BYTES;

export class BouncePool {
  readonly #start: number;
  /** Free slots; a slot is a "page" to the allocator. */
  readonly #slots: PageAllocator;
  readonly #sizeBytes: number;

  /** `start` is page aligned. */
  constructor(start: number, sizeBytes: number) {
    this.#start = start;
    this.#sizeBytes = sizeBytes;
    this.#slots = new PageAllocator(sizeBytes / SLOT_BYTES);
  }

  get usedBytes(): number {
    return this.#sizeBytes - this.#slots.freePages * SLOT_BYTES;
  }

  /** Physical address of whole pages for up to `BOUNCE_BYTES_MAX` bytes; `undefined` when the pool is full. */
  take(lengthBytes: number): number | undefined {
    assert(lengthBytes <= BOUNCE_BYTES_MAX, "a longer buffer is bounced in pieces");
    const runs = this.#slots.takeContiguous(slotsFor(lengthBytes));
    return runs && this.#start + (runs[0] as number) * SLOT_BYTES;
  }

  /** Gives back what `take` gave for the same length. */
  give(address: number, lengthBytes: number): void {
    this.#slots.give([(address - this.#start) / SLOT_BYTES, slotsFor(lengthBytes)]);
  }
}

/** Whole pages of slots, so that the next buffer starts on a page too. */
const slotsFor = (lengthBytes: number): number =>
  Math.ceil(lengthBytes / PAGE_BYTES) * SLOTS_PER_PAGE;
