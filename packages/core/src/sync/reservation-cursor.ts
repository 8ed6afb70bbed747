/**
 * Reservation cursor: looks at a reservation's fences without its lock.
 *
 * Skips fences that are done. Others may change the reservation between two steps: when its list was
 * replaced, the cursor starts again from the first fence and says so, and whoever accumulates has
 * to throw away what it has (dma_resv_iter_next_unlocked, Linux 6.12).
 */
import type { Fence } from "./fence.ts";
import type { FenceSlots } from "./fence-slots.ts";
import { type ReservationUsage, USAGE_LEVEL, USAGES } from "./reservation-usage.ts";

export class ReservationCursor {
  /** True when the last step began from the start: at the first step, and after a replacement. */
  isRestarted = false;
  private readonly currentSlots: () => FenceSlots;
  private readonly level: number;
  private slots: FenceSlots | undefined = undefined;
  private slot = -1;

  constructor(currentSlots: () => FenceSlots, usage: ReservationUsage) {
    this.currentSlots = currentSlots;
    this.level = USAGE_LEVEL[usage];
  }

  /** The usage of the fence of the last step. */
  get usage(): ReservationUsage | undefined {
    return this.slots && this.slot >= 0 ? USAGES[this.slots.levelAt(this.slot)] : undefined;
  }

  /** The next fence at this level or a stronger one that is not done; undefined at the end. */
  next(): Fence | undefined {
    const slots = this.currentSlots();
    this.isRestarted = slots !== this.slots;
    if (this.isRestarted) {
      this.slots = slots;
      this.slot = -1;
    }
    while (++this.slot < slots.count) {
      const fence = slots.fenceAt(this.slot);
      if (fence !== undefined && slots.levelAt(this.slot) <= this.level && !fence.poll()) {
        return fence;
      }
    }
    return undefined;
  }
}
