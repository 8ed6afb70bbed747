/**
 * IO page table: which physical page stands behind each page of one device's address space.
 *
 * Four levels of 512 entries, as VT-d and AMD-Vi have them, with leaves of 4 KiB, 2 MiB and 1 GiB. The
 * largest leaf is taken that address, target and what is left of the length allow (`iommu_pgsize`,
 * Linux 6.12). Tables without entries are given back at once.
 */
import { assert } from "@peerbuf/core";

/** Device addresses end here, in bytes: 48 bits. */
export const IOVA_END: number = 2 ** 48;

export const MAY_READ = 1;
export const MAY_WRITE = 2;

const ENTRIES = 512;
/** Bytes behind one entry, by level. Leaves are in levels 0 to 2. */
const SPANS = [2 ** 12, 2 ** 21, 2 ** 30, 2 ** 39] as const;
const TOP = 3;

/** The bytes that a leaf of this level covers. */
export const leafBytes = (level: number): number => SPANS[level] as number;

class Table {
  /** Physical address + rights of a leaf, 0 for none. Physical addresses are multiples of 4 KiB. */
  readonly leaves = new Float64Array(ENTRIES);
  readonly tables: (Table | undefined)[] = [];
  used = 0;
}

export class IoPageTable {
  readonly #root = new Table();
  #leafCount = 0;
  #leaf = 0;
  #level = 0;

  /** Leaves that are set, of any size. */
  get leafCount(): number {
    return this.#leafCount;
  }

  /** All three in whole 4 KiB pages; nothing may be mapped there. */
  map(iova: number, physical: number, lengthBytes: number, rights: number): void {
    for (let done = 0; done < lengthBytes; ) {
      const level = largestLevel(iova + done, physical + done, lengthBytes - done);
      this.#set(iova + done, level, physical + done + rights);
      done += leafBytes(level);
    }
  }

  /** Takes out leaves that lie wholly in the range, which must be mapped in full. */
  unmap(iova: number, lengthBytes: number): void {
    for (let done = 0; done < lengthBytes; ) {
      const isThere = this.find(iova + done);
      assert(isThere, "only what is mapped is unmapped");
      const level = this.#level;
      this.#clear(this.#root, TOP, iova + done, level);
      done += leafBytes(level);
    }
  }

  /** Is the address mapped? `leaf` and `level` then say how. */
  find(iova: number): boolean {
    let table: Table | undefined = iova < IOVA_END ? this.#root : undefined;
    for (let level = TOP; table !== undefined; level--) {
      const index = indexAt(iova, level);
      const leaf = table.leaves[index] as number;
      if (leaf !== 0) {
        this.#leaf = leaf;
        this.#level = level;
        return true;
      }
      table = table.tables[index];
    }
    return false;
  }

  /** Physical address + rights of the leaf found last. */
  get leaf(): number {
    return this.#leaf;
  }

  get level(): number {
    return this.#level;
  }

  #set(iova: number, level: number, leaf: number): void {
    let table = this.#root;
    for (let at = TOP; at > level; at--) {
      table = tableBelow(table, indexAt(iova, at));
    }
    const index = indexAt(iova, level);
    const isFree = table.leaves[index] === 0 && table.tables[index] === undefined;
    assert(isFree, "a device address is mapped once");
    table.leaves[index] = leaf;
    table.used++;
    this.#leafCount++;
  }

  /** Takes the leaf out, and every table that is empty then. */
  #clear(table: Table, at: number, iova: number, level: number): void {
    const index = indexAt(iova, at);
    if (at === level) {
      table.leaves[index] = 0;
      table.used--;
      this.#leafCount--;
      return;
    }
    const below = table.tables[index] as Table;
    this.#clear(below, at - 1, iova, level);
    if (below.used === 0) {
      table.tables[index] = undefined;
      table.used--;
    }
  }
}

const indexAt = (iova: number, level: number): number =>
  Math.floor(iova / leafBytes(level)) % ENTRIES;

function tableBelow(table: Table, index: number): Table {
  let below = table.tables[index];
  if (below === undefined) {
    assert(table.leaves[index] === 0, "a device address is mapped once");
    below = new Table();
    table.tables[index] = below;
    table.used++;
  }
  return below;
}

function largestLevel(iova: number, physical: number, lengthBytes: number): number {
  for (let level = TOP - 1; level > 0; level--) {
    const span = leafBytes(level);
    if (lengthBytes >= span && iova % span === 0 && physical % span === 0) {
      return level;
    }
  }
  return 0;
}
