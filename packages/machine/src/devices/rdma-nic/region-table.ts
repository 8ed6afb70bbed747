/**
 * Region table: keys and the memory regions behind them.
 *
 * A key is a slot in bits 31:8 and a variant in bits 7:0 that changes each time the slot is used
 * again, so a stale key does not open somebody else's memory.
 */
import type { MemoryRegion } from "./memory-region.ts";
import { RDMA_REGIONS_MAX } from "./registers.ts";

export class RegionTable {
  readonly #regions = new Map<number, MemoryRegion>();
  #freeKeys: number[] = [];
  #slotsUsed = 0;

  /** The key, or `undefined` when the table is full. `make` is told the key. */
  add(make: (key: number) => MemoryRegion): number | undefined {
    const key = this.#freeKeys.pop() ?? this.#freshKey();
    if (key !== undefined) {
      this.#regions.set(key, make(key));
    }
    return key;
  }

  find(key: number): MemoryRegion | undefined {
    return this.#regions.get(key);
  }

  /** `false`: there is no such key. */
  remove(key: number): boolean {
    const region = this.#regions.get(key);
    if (region === undefined) {
      return false;
    }
    this.#regions.delete(key);
    region.remove();
    this.#freeKeys.push(((key & ~0xff) | ((key + 1) & 0xff)) >>> 0);
    return true;
  }

  /** Forgets everything. */
  clear(): void {
    this.#regions.clear();
    this.#freeKeys = [];
    this.#slotsUsed = 0;
  }

  #freshKey(): number | undefined {
    if (this.#slotsUsed === RDMA_REGIONS_MAX) {
      return undefined;
    }
    this.#slotsUsed++;
    return this.#slotsUsed * 256; // Slot 0 stays unused: key 0 is never valid.
  }
}
