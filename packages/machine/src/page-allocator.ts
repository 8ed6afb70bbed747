/**
 * Page allocator: which pages of one stretch of RAM are free.
 *
 * Free pages are kept as extents sorted by page number, neighbours always joined. Taking is first
 * fit from the lowest page, so that the same calls give the same pages. Knows page numbers only;
 * addresses, contents and who holds what are in `host-memory.ts`.
 */
import { assert } from "@peerbuf/core";
import type { Random } from "./random.ts";

/** [firstPage, pageCount] pairs, in the order in which they are to be used. */
export type PageRuns = number[];

export class PageAllocator {
  /** [firstPage, endPage) pairs, sorted, never touching. */
  #extents: number[];
  #freePages: number;

  constructor(pageCount: number) {
    this.#extents = pageCount === 0 ? [] : [0, pageCount];
    this.#freePages = pageCount;
  }

  get freePages(): number {
    return this.#freePages;
  }

  /** One run of `count` pages; `undefined` when no free extent is long enough. */
  takeContiguous(count: number): PageRuns | undefined {
    const extents = this.#extents;
    for (let at = 0; at < extents.length; at += 2) {
      const first = extents[at] as number;
      if ((extents[at + 1] as number) - first >= count) {
        this.#takeFront(at, count);
        return [first, count];
      }
    }
    return undefined;
  }

  /** `count` pages from the lowest extents, in as few runs as that gives; `undefined` when there are not enough. */
  takeAny(count: number): PageRuns | undefined {
    if (count > this.#freePages) {
      return undefined;
    }
    const runs: PageRuns = [];
    for (let left = count; left > 0; ) {
      const first = this.#extents[0] as number;
      const length = Math.min(left, (this.#extents[1] as number) - first);
      this.#takeFront(0, length);
      runs.push(first, length);
      left -= length;
    }
    return runs;
  }

  /**
   * `count` single pages in shuffled order, no two of them neighbours while memory lasts: what a
   * machine hands out that has been up for a month. `undefined` when there are not enough.
   */
  takeScattered(count: number, random: Random): PageRuns | undefined {
    if (count > this.#freePages) {
      return undefined;
    }
    const pages = this.#takeEverySecond(count);
    const rest = this.takeAny(count - pages.length) ?? [];
    for (let at = 0; at < rest.length; at += 2) {
      for (let page = 0; page < (rest[at + 1] as number); page++) {
        pages.push((rest[at] as number) + page);
      }
    }
    shuffle(pages, random);
    return pages.flatMap((page) => [page, 1]);
  }

  /** Gives runs back. The caller has checked that they were taken. */
  give(runs: PageRuns): void {
    const sorted: [number, number][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      const first = runs[at] as number;
      sorted.push([first, first + (runs[at + 1] as number)]);
      this.#freePages += runs[at + 1] as number;
    }
    sorted.sort((one, other) => one[0] - other[0]);
    this.#extents = mergeExtents(this.#extents, sorted.flat());
  }

  #takeFront(at: number, count: number): void {
    const first = (this.#extents[at] as number) + count;
    if (first === this.#extents[at + 1]) {
      this.#extents.splice(at, 2);
    } else {
      this.#extents[at] = first;
    }
    this.#freePages -= count;
  }

  /** Up to `count` pages, leaving a free one after each. */
  #takeEverySecond(count: number): number[] {
    const pages: number[] = [];
    const left: number[] = [];
    for (let at = 0; at < this.#extents.length; at += 2) {
      let first = this.#extents[at] as number;
      const end = this.#extents[at + 1] as number;
      while (pages.length < count && first + 1 < end) {
        pages.push(first);
        left.push(first + 1, first + 2);
        first += 2;
      }
      if (first < end) {
        left.push(first, end);
      }
    }
    this.#extents = mergeExtents(left, []);
    this.#freePages -= pages.length;
    return pages;
  }
}

/** Joins two sorted lists of extents that do not overlap. */
function mergeExtents(one: readonly number[], other: readonly number[]): number[] {
  const merged: number[] = [];
  let left = 0;
  let right = 0;
  while (left < one.length || right < other.length) {
    const takeLeft = (one[left] ?? Infinity) < (other[right] ?? Infinity);
    const from = takeLeft ? one : other;
    const at = takeLeft ? left : right;
    appendExtent(merged, from[at] as number, from[at + 1] as number);
    left += takeLeft ? 2 : 0;
    right += takeLeft ? 0 : 2;
  }
  return merged;
}

function appendExtent(extents: number[], first: number, end: number): void {
  const lastEnd = extents[extents.length - 1];
  assert(lastEnd === undefined || lastEnd <= first, "a page was given back twice");
  if (lastEnd === first) {
    extents[extents.length - 1] = end;
  } else {
    extents.push(first, end);
  }
}

function shuffle(pages: number[], random: Random): void {
  for (let at = pages.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    const page = pages[at] as number;
    pages[at] = pages[other] as number;
    pages[other] = page;
  }
}
