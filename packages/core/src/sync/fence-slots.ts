/**
 * Fence slots: the flat list of (fence, usage) behind a reservation.
 *
 * Two parallel arrays and a count. A list is written in place while it has room and replaced by a
 * larger one when it has not (struct dma_resv_list, Linux 6.12), so an iterator that holds a list
 * can tell by identity that it has to start again.
 */
import { type Fence, isLaterOrSame } from "./fence.ts";

/** The smallest list that is made. */
const CAPACITY_MIN = 4;

export class FenceSlots {
  readonly capacity: number;
  count = 0;
  private readonly fences: (Fence | undefined)[];
  private readonly levels: Uint8Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.fences = new Array<Fence | undefined>(capacity).fill(undefined);
    this.levels = new Uint8Array(capacity);
  }

  fenceAt(slot: number): Fence | undefined {
    return this.fences[slot];
  }

  levelAt(slot: number): number {
    return this.levels[slot] ?? 0;
  }

  /**
   * The first slot that the fence may take over, else the first free one: a slot is taken over when
   * its fence is done, or when the newcomer is the same or a later one of the same timeline and its
   * usage is as strong.
   */
  slotFor(fence: Fence, level: number): number {
    for (let slot = 0; slot < this.count; slot++) {
      const old = this.fences[slot];
      if (old === undefined || this.isReplaced(old, slot, fence, level) || old.poll()) {
        return slot;
      }
    }
    return this.count;
  }

  put(slot: number, fence: Fence, level: number): void {
    this.fences[slot] = fence;
    this.levels[slot] = level;
    this.count = Math.max(this.count, slot + 1);
  }

  /** A list with room for `count` slots that holds what is not done yet. */
  grownTo(count: number): FenceSlots {
    const isFirst = this.capacity === 0;
    const wanted = isFirst ? nextPowerOfTwo(count) : Math.max(count, 2 * this.capacity);
    const grown = new FenceSlots(Math.max(CAPACITY_MIN, wanted));
    for (let slot = 0; slot < this.count; slot++) {
      const fence = this.fences[slot];
      if (fence !== undefined && !fence.poll()) {
        grown.put(grown.count, fence, this.levelAt(slot));
      }
    }
    return grown;
  }

  private isReplaced(old: Fence, slot: number, fence: Fence, level: number): boolean {
    return (
      old.context === fence.context && this.levelAt(slot) >= level && isLaterOrSame(fence, old)
    );
  }
}

function nextPowerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}
