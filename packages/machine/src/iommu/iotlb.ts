/**
 * IOTLB: the translations that hardware remembers, true or not any more.
 *
 * Nothing tells it that a page table changed: until it is invalidated, an entry translates as before
 * (VT-d specification 3.3, 6.5). Holds a stated number of entries for each page size; a new one takes
 * the place of an older one. What is not present is not remembered.
 */
import { leafBytes } from "./page-table.ts";

/** Entries for each of the three page sizes. */
const ENTRIES = 256;
const LEVELS = [0, 1, 2] as const;

export class Iotlb {
  /** Page number of each entry, -1 for none. */
  readonly #pages = LEVELS.map(() => new Float64Array(ENTRIES).fill(-1));
  /** Physical address + rights. */
  readonly #leaves = LEVELS.map(() => new Float64Array(ENTRIES));
  #leaf = 0;
  #level = 0;

  /** Is the address remembered? `leaf` and `level` then say what. */
  find(iova: number): boolean {
    return this.#isIn(iova, this.#level) || LEVELS.some((level) => this.#isIn(iova, level));
  }

  /** Physical address + rights of the entry found last. */
  get leaf(): number {
    return this.#leaf;
  }

  get level(): number {
    return this.#level;
  }

  keep(iova: number, leaf: number, level: number): void {
    const page = Math.floor(iova / leafBytes(level));
    (this.#pages[level] as Float64Array)[page % ENTRIES] = page;
    (this.#leaves[level] as Float64Array)[page % ENTRIES] = leaf;
  }

  /** Forgets whatever touches the range. */
  invalidate(iova: number, lengthBytes: number): void {
    for (const level of LEVELS) {
      const span = leafBytes(level);
      const first = Math.floor(iova / span);
      const end = Math.ceil((iova + lengthBytes) / span);
      if (end - first >= ENTRIES) {
        this.#pages[level]?.fill(-1);
      } else {
        this.#forget(this.#pages[level] as Float64Array, first, end);
      }
    }
  }

  invalidateAll(): void {
    for (const pages of this.#pages) {
      pages.fill(-1);
    }
  }

  #forget(pages: Float64Array, first: number, end: number): void {
    for (let page = first; page < end; page++) {
      if (pages[page % ENTRIES] === page) {
        pages[page % ENTRIES] = -1;
      }
    }
  }

  #isIn(iova: number, level: number): boolean {
    const page = Math.floor(iova / leafBytes(level));
    if ((this.#pages[level] as Float64Array)[page % ENTRIES] !== page) {
      return false;
    }
    this.#leaf = (this.#leaves[level] as Float64Array)[page % ENTRIES] as number;
    this.#level = level;
    return true;
  }
}
