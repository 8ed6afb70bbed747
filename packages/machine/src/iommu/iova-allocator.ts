/**
 * IOVA allocator: which addresses of one device's address space are taken.
 *
 * From the top down, each allocation on a multiple of its own size rounded up to a power of two, as
 * Linux does (drivers/iommu/iova.c, 6.12); so a long one can use large pages. Free space is kept as
 * extents in address order, neighbours joined. Counts in pages of 4 KiB; page 0 is never given out.
 */
import { assert } from "@peerbuf/core";
import { IOVA_END } from "./page-table.ts";

export const IOVA_PAGE_BYTES = 4096;

/** Addresses not to be given out, in bytes; `end` is the first one behind. */
export interface ReservedRange {
  readonly start: number;
  readonly end: number;
}

export class IovaAllocator {
  /** [firstPage, endPage) pairs, sorted, never touching. */
  readonly #extents: number[] = [1, IOVA_END / IOVA_PAGE_BYTES];

  constructor(reserved: readonly ReservedRange[]) {
    for (const { start, end } of reserved) {
      this.#reserve(Math.floor(start / IOVA_PAGE_BYTES), Math.ceil(end / IOVA_PAGE_BYTES));
    }
  }

  /**
   * The first of `count` pages whose last byte is not above `addressMax`, on a multiple of `count`
   * rounded up to a power of two, and of `alignPages`; `undefined` when there are none.
   */
  allocate(count: number, addressMax: number, alignPages = 1): number | undefined {
    const alignment = Math.max(powerOfTwo(count), alignPages);
    const limit = Math.floor((addressMax + 1) / IOVA_PAGE_BYTES);
    for (let at = this.#lastBelow(limit); at >= 0; at -= 2) {
      const end = Math.min(this.#extents[at + 1] as number, limit);
      const first = Math.floor((end - count) / alignment) * alignment;
      if (first >= (this.#extents[at] as number)) {
        this.#cut(at, first, first + count);
        return first;
      }
    }
    return undefined;
  }

  /** Gives back what was allocated, in full. */
  free(first: number, count: number): void {
    const extents = this.#extents;
    const before = this.#lastBelow(first + 1);
    const after = before + 2;
    const end = first + count;
    const isTaken =
      (before < 0 || (extents[before + 1] as number) <= first) &&
      (extents[after] ?? Number.POSITIVE_INFINITY) >= end;
    assert(isTaken, "an IOVA was given back twice");
    const joinsBefore = before >= 0 && extents[before + 1] === first;
    const joinsAfter = extents[after] === end;
    const from = joinsBefore ? (extents[before] as number) : first;
    const until = joinsAfter ? (extents[after + 1] as number) : end;
    const removed = (joinsBefore ? 2 : 0) + (joinsAfter ? 2 : 0);
    extents.splice(joinsBefore ? before : after, removed, from, until);
  }

  #reserve(first: number, end: number): void {
    for (let at = this.#extents.length - 2; at >= 0; at -= 2) {
      const from = Math.max(first, this.#extents[at] as number);
      const until = Math.min(end, this.#extents[at + 1] as number);
      if (from < until) {
        this.#cut(at, from, until);
      }
    }
  }

  /** Takes a part out of one extent. */
  #cut(at: number, first: number, end: number): void {
    const rest: number[] = [];
    if (first > (this.#extents[at] as number)) {
      rest.push(this.#extents[at] as number, first);
    }
    if (end < (this.#extents[at + 1] as number)) {
      rest.push(end, this.#extents[at + 1] as number);
    }
    this.#extents.splice(at, 2, ...rest);
  }

  /** Index of the last extent that starts below `page`; -2 for none. */
  #lastBelow(page: number): number {
    let low = 0;
    let high = this.#extents.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#extents[2 * middle] as number) < page) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return 2 * (low - 1);
  }
}

function powerOfTwo(count: number): number {
  let power = 1;
  while (power < count) {
    power *= 2;
  }
  return power;
}
