/**
 * Host ledger: which driver holds which host pages, and which pages were freed.
 */
import type { HostPages, PhysicalRanges } from "@peerbuf/core";
import { RangeSet } from "./range-set.ts";

export interface HeldPages {
  readonly owner: string;
  readonly ranges: PhysicalRanges;
  readonly origin: string | undefined;
}

export class HostLedger {
  readonly #held = new Map<HostPages, HeldPages>();
  readonly #freed = new RangeSet();
  /** What engines copy now, in memory of their own drivers. */
  readonly work: Set<readonly PhysicalRanges[]> = new Set();

  took(owner: string, pages: HostPages, origin: string | undefined): void {
    this.#held.set(pages, { owner, ranges: pages.ranges, origin });
    eachRange(pages.ranges, (start, end) => this.#freed.remove(start, end));
  }

  /** The entry that ends, or `undefined` for pages that nobody holds. */
  gaveBack(pages: HostPages): HeldPages | undefined {
    const held = this.#held.get(pages);
    if (held !== undefined) {
      this.#held.delete(pages);
      eachRange(held.ranges, (start, end) => this.#freed.add(start, end));
    }
    return held;
  }

  wasFreed(start: number, end: number): boolean {
    return this.#freed.overlaps(start, end);
  }

  anyFreed(ranges: PhysicalRanges): boolean {
    for (let index = 0; index < ranges.count; index++) {
      if (this.#freed.overlaps(ranges.start(index), endOf(ranges, index))) {
        return true;
      }
    }
    return false;
  }

  isWorkedOn(ranges: PhysicalRanges): boolean {
    return [...this.work].some((each) => each.some((one) => rangesOverlap(one, ranges)));
  }

  /** Some bytes are held and others are not: a list that runs past the end of its pages. */
  isHeldInPart(ranges: PhysicalRanges): boolean {
    for (let index = 0; index < ranges.count; index++) {
      const end = endOf(ranges, index);
      let at: number = ranges.start(index);
      while (at < end) {
        const heldTo = this.#heldTo(at);
        if (heldTo === undefined) {
          break;
        }
        at = heldTo;
      }
      if (at < end && at > ranges.start(index)) {
        return true;
      }
    }
    return false;
  }

  /** Who holds the page at this address; `undefined` where nobody took it through the platform. */
  ownerAt(address: number): string | undefined {
    for (const { owner, ranges } of this.#held.values()) {
      if (indexOf(ranges, address) >= 0) {
        return owner;
      }
    }
    return undefined;
  }

  /** The end of the held stretch around this address. */
  #heldTo(address: number): number | undefined {
    for (const { ranges } of this.#held.values()) {
      const index = indexOf(ranges, address);
      if (index >= 0) {
        return endOf(ranges, index);
      }
    }
    return undefined;
  }

  heldBy(owner: string): HeldPages[] {
    return [...this.#held.values()].filter((held) => held.owner === owner);
  }
}

export function eachRange(
  ranges: PhysicalRanges,
  visit: (start: number, end: number) => void,
): void {
  for (let index = 0; index < ranges.count; index++) {
    visit(ranges.start(index), endOf(ranges, index));
  }
}

export function rangesOverlap(one: PhysicalRanges, other: PhysicalRanges): boolean {
  for (let index = 0; index < one.count; index++) {
    for (let against = 0; against < other.count; against++) {
      if (one.start(index) < endOf(other, against) && other.start(against) < endOf(one, index)) {
        return true;
      }
    }
  }
  return false;
}

/** Index of the range that holds the address, -1 for none. */
function indexOf(ranges: PhysicalRanges, address: number): number {
  for (let index = 0; index < ranges.count; index++) {
    if (address >= ranges.start(index) && address < endOf(ranges, index)) {
      return index;
    }
  }
  return -1;
}

const endOf = (ranges: PhysicalRanges, index: number): number =>
  ranges.start(index) + ranges.lengthBytes(index);
