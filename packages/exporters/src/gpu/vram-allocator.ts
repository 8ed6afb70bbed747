/**
 * VRAM allocator: which parts of VRAM are free.
 *
 * First fit in whole pages over a sorted list of free ranges. A request that no single range can
 * hold is put together from several, so memory is exhausted only when too few bytes are free. The
 * part that the BAR shows lies at the start of VRAM; callers say which part they want.
 */
import { PeerbufError } from "@peerbuf/core";

/** Where in VRAM: `visible`: behind the BAR; `hidden`: behind it not; `any`: visible first, then hidden. */
export type VramPart = "visible" | "hidden" | "any";

/** One stretch of VRAM, in bytes. */
export interface VramRange {
  readonly offset: number;
  readonly lengthBytes: number;
}

export class VramAllocator {
  readonly vramBytes: number;
  readonly visibleBytes: number;
  /** Sorted by offset; neighbours that touch are one range. At most one for each page. */
  readonly #free: VramRange[];

  constructor(vramBytes: number, visibleBytes: number) {
    this.vramBytes = vramBytes;
    this.visibleBytes = visibleBytes;
    this.#free = [{ offset: 0, lengthBytes: vramBytes }];
  }

  freeBytes(part: VramPart): number {
    const [start, end] = this.#bounds(part);
    return this.#free.reduce((sum, range) => sum + overlapBytes(range, start, end), 0);
  }

  /** Ranges of `sizeBytes` in all, or `MEMORY_EXHAUSTED`, and then nothing was taken. */
  allocate(sizeBytes: number, part: VramPart): readonly VramRange[] {
    const [start, end] = this.#bounds(part);
    const whole = this.#free.find((range) => overlapBytes(range, start, end) >= sizeBytes);
    if (whole !== undefined) {
      const taken = { offset: Math.max(whole.offset, start), lengthBytes: sizeBytes };
      this.#take(taken);
      return [taken];
    }
    return this.#gather(sizeBytes, part);
  }

  free(ranges: readonly VramRange[]): void {
    for (const range of ranges) {
      this.#giveBack(range);
    }
  }

  #gather(sizeBytes: number, part: VramPart): readonly VramRange[] {
    const [start, end] = this.#bounds(part);
    const available = this.freeBytes(part);
    if (available < sizeBytes) {
      throw new PeerbufError(
        "MEMORY_EXHAUSTED",
        `${sizeBytes} bytes of ${part} VRAM asked for, ${available} of ${end - start} are free`,
      );
    }
    const taken: VramRange[] = [];
    let left = sizeBytes;
    for (const range of [...this.#free]) {
      const piece = Math.min(left, overlapBytes(range, start, end));
      if (piece > 0) {
        taken.push({ offset: Math.max(range.offset, start), lengthBytes: piece });
        left -= piece;
      }
    }
    taken.forEach((range) => {
      this.#take(range);
    });
    return taken;
  }

  /** Cuts `taken` out of the free range that holds it. */
  #take({ offset, lengthBytes }: VramRange): void {
    const index = this.#after(offset) - 1;
    const holder = this.#free[index] as VramRange;
    const before = { offset: holder.offset, lengthBytes: offset - holder.offset };
    const end = offset + lengthBytes;
    const after = { offset: end, lengthBytes: holder.offset + holder.lengthBytes - end };
    this.#free.splice(index, 1, ...[before, after].filter((rest) => rest.lengthBytes > 0));
  }

  #giveBack(range: VramRange): void {
    let { offset, lengthBytes } = range;
    const index = this.#after(offset);
    const before = this.#free[index - 1];
    const after = this.#free[index];
    const joinsBefore = before !== undefined && before.offset + before.lengthBytes === offset;
    const joinsAfter = after !== undefined && offset + lengthBytes === after.offset;
    if (joinsBefore) {
      offset = before.offset;
      lengthBytes += before.lengthBytes;
    }
    if (joinsAfter) {
      lengthBytes += after.lengthBytes;
    }
    const first = joinsBefore ? index - 1 : index;
    const joined = Number(joinsBefore) + Number(joinsAfter);
    this.#free.splice(first, joined, { offset, lengthBytes });
  }

  /** Index of the first free range that begins after `offset`, by bisection. */
  #after(offset: number): number {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#free[middle] as VramRange).offset <= offset) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  #bounds(part: VramPart): readonly [start: number, end: number] {
    switch (part) {
      case "visible":
        return [0, this.visibleBytes];
      case "hidden":
        return [this.visibleBytes, this.vramBytes];
      default:
        return [0, this.vramBytes];
    }
  }
}

function overlapBytes(range: VramRange, start: number, end: number): number {
  const from = Math.max(range.offset, start);
  const to = Math.min(range.offset + range.lengthBytes, end);
  return Math.max(0, to - from);
}
