/**
 * Domain: the address space of one device, or of those that hardware cannot tell apart.
 *
 * Its own page table, its own IOTLB entries and its own addresses: what one device has mapped means
 * nothing to another. After an unmap, `strict` invalidation makes hardware forget before the address
 * can be used again; lazy leaves it to a flush queue, and until then an old translation may still work.
 */
import type { Clock } from "@peerbuf/core";
import { FlushQueue, type FlushQueueOptions } from "./flush-queue.ts";
import { Iotlb } from "./iotlb.ts";
import { IOVA_PAGE_BYTES, IovaAllocator, type ReservedRange } from "./iova-allocator.ts";
import { IoPageTable, leafBytes } from "./page-table.ts";

export type Invalidation = "strict" | "lazy";

/** Translations that fail, as numbers that no physical address is. */
export const NOT_PRESENT = -1;
export const NO_PERMISSION = -2;

/** PCI devices are given addresses below 4 GiB while there are any (`iommu_dma_alloc_iova`, 6.12). */
const LOW_ADDRESS_MAX = 2 ** 32 - 1;

export interface DomainOptions {
  readonly clock: Clock;
  readonly invalidation: Invalidation;
  readonly flushQueue: FlushQueueOptions;
  readonly reserved: readonly ReservedRange[];
}

export class Domain {
  readonly #table = new IoPageTable();
  readonly #iotlb = new Iotlb();
  readonly #addresses: IovaAllocator;
  /** Undefined: strict. */
  readonly #queue: FlushQueue | undefined;
  #reachBytes = 0;

  constructor({ clock, invalidation, flushQueue, reserved }: DomainOptions) {
    this.#addresses = new IovaAllocator(reserved);
    this.#queue =
      invalidation === "strict"
        ? undefined
        : new FlushQueue(clock, flushQueue, (entries) => this.#flush(entries));
  }

  /** Room for whole pages up to `addressMax`; `undefined` when there is none, even after a flush. */
  allocate(sizeBytes: number, addressMax: number, alignmentBytes: number): number | undefined {
    const iova = this.#take(sizeBytes, addressMax, alignmentBytes);
    if (iova !== undefined || this.#queue === undefined) {
      return iova;
    }
    this.#queue.flush();
    return this.#take(sizeBytes, addressMax, alignmentBytes);
  }

  /** Gives back an address at which nothing was mapped. */
  release(iova: number, sizeBytes: number): void {
    this.#addresses.free(iova / IOVA_PAGE_BYTES, sizeBytes / IOVA_PAGE_BYTES);
  }

  map(iova: number, physical: number, sizeBytes: number, rights: number): void {
    this.#table.map(iova, physical, sizeBytes, rights);
  }

  /** Ends a mapping and gives the address back, at once or with the next flush. */
  unmap(iova: number, sizeBytes: number): void {
    this.#table.unmap(iova, sizeBytes);
    if (this.#queue !== undefined) {
      this.#queue.add(iova, sizeBytes);
      return;
    }
    this.#iotlb.invalidate(iova, sizeBytes);
    this.release(iova, sizeBytes);
  }

  flush(): void {
    this.#queue?.flush();
  }

  /** Physical address of a byte, or why there is none. The hardware remembers it. */
  translate(iova: number, right: number): number {
    if (!this.#iotlb.find(iova)) {
      if (!this.#table.find(iova)) {
        return NOT_PRESENT;
      }
      this.#iotlb.keep(iova, this.#table.leaf, this.#table.level);
      return this.#answer(this.#table.leaf, this.#table.level, iova, right);
    }
    return this.#answer(this.#iotlb.leaf, this.#iotlb.level, iova, right);
  }

  /** As `translate` would answer; nothing is remembered. */
  peek(iova: number, right: number): number {
    if (this.#iotlb.find(iova)) {
      return this.#answer(this.#iotlb.leaf, this.#iotlb.level, iova, right);
    }
    return this.#table.find(iova)
      ? this.#answer(this.#table.leaf, this.#table.level, iova, right)
      : NOT_PRESENT;
  }

  /** Bytes from the address translated last to the end of its page. */
  get reachBytes(): number {
    return this.#reachBytes;
  }

  #answer(leaf: number, level: number, iova: number, right: number): number {
    const inPage = iova % leafBytes(level);
    this.#reachBytes = leafBytes(level) - inPage;
    const rights = leaf % IOVA_PAGE_BYTES;
    return (rights & right) === 0 ? NO_PERMISSION : leaf - rights + inPage;
  }

  #take(sizeBytes: number, addressMax: number, alignmentBytes: number): number | undefined {
    const count = sizeBytes / IOVA_PAGE_BYTES;
    const alignPages = Math.ceil(alignmentBytes / IOVA_PAGE_BYTES);
    const low = Math.min(addressMax, LOW_ADDRESS_MAX);
    const first =
      this.#addresses.allocate(count, low, alignPages) ??
      (addressMax > low ? this.#addresses.allocate(count, addressMax, alignPages) : undefined);
    return first === undefined ? undefined : first * IOVA_PAGE_BYTES;
  }

  #flush(entries: readonly (readonly [iova: number, sizeBytes: number])[]): void {
    this.#iotlb.invalidateAll();
    for (const [iova, sizeBytes] of entries) {
      this.release(iova, sizeBytes);
    }
  }
}
