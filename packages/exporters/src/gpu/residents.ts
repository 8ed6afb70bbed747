/**
 * Residents: the buffers in VRAM, and who has to leave when it is full.
 *
 * The one that was not used for longest goes first, as with TTM's LRU list (Linux 6.12); one that is pinned stays. A
 * buffer that leaves gives its place up at once; whoever gets the place begins only when the bytes
 * have left it.
 */
import type { Fence, Reason } from "@peerbuf/core";
import { reason } from "@peerbuf/core";
import { whenOver } from "./afterwards.ts";
import type { VramAllocator, VramPart, VramRange } from "./vram-allocator.ts";

/** A buffer in VRAM, as far as eviction is concerned. */
export interface Resident {
  readonly vram: readonly VramRange[];
  /** Starts to leave for system memory; `false` if it cannot, and then nothing happened. */
  leave(why: Reason): boolean;
}

export class Residents {
  readonly #vram: VramAllocator;
  /** In order of their last use, the oldest first. */
  readonly #byUse = new Set<Resident>();
  /** Places that were given up, with the move that still reads them. */
  readonly #leaving = new Set<{ readonly ranges: readonly VramRange[]; readonly moved: Fence }>();

  constructor(vram: VramAllocator) {
    this.#vram = vram;
  }

  /**
   * VRAM for a new buffer, others evicted if it has to be. `before`: what must be over before its first
   * byte is written. `MEMORY_EXHAUSTED` when those who could leave are not enough.
   */
  take(sizeBytes: number, part: VramPart): { vram: readonly VramRange[]; before: Fence[] } {
    const vram = this.#roomFor(sizeBytes, part);
    const before = [...this.#leaving]
      .filter(({ ranges }) => ranges.some((range) => vram.some((other) => overlap(range, other))))
      .map(({ moved }) => moved);
    return { vram, before };
  }

  /** It is used: now, and so last to go. */
  touch(resident: Resident): void {
    this.#byUse.delete(resident);
    this.#byUse.add(resident);
  }

  /** It is gone and nothing reads its place any more. */
  giveUp(resident: Resident): void {
    this.#byUse.delete(resident);
    this.#vram.free(resident.vram);
  }

  /** It leaves: its place is free for whoever waits for `moved`. */
  giveUpAfter(resident: Resident, moved: Fence): void {
    const entry = { ranges: resident.vram, moved };
    this.#leaving.add(entry);
    this.giveUp(resident);
    whenOver(moved, () => this.#leaving.delete(entry));
  }

  #roomFor(sizeBytes: number, part: VramPart): readonly VramRange[] {
    const candidates = [...this.#byUse];
    for (;;) {
      if (this.#vram.freeBytes(part) >= sizeBytes) {
        return this.#vram.allocate(sizeBytes, part);
      }
      const oldest = candidates.shift();
      if (oldest === undefined) {
        return this.#vram.allocate(sizeBytes, part); // Refuses with the numbers.
      }
      oldest.leave(EVICTED);
    }
  }
}

const overlap = (one: VramRange, other: VramRange): boolean =>
  one.offset < other.offset + other.lengthBytes && other.offset < one.offset + one.lengthBytes;

const EVICTED = reason(
  "EVICTED",
  "VRAM is needed for another buffer, and this one was not used for longest",
);
