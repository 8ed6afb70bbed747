/**
 * Page cursor: walks a mapping page by page, as a PRP list needs it, or segment by segment, as an SGL does.
 *
 * Keeps its place, so that a large transfer of many commands walks its segments once.
 */
import { assert, PAGE_BYTES, type SegmentList } from "@peerbuf/core";

export class PageCursor {
  readonly #segments: SegmentList;
  #index = 0;
  #inSegment: number;

  /** Stands at byte `offset` of the mapping. */
  constructor(segments: SegmentList, offset: number) {
    this.#segments = segments;
    this.#inSegment = offset;
    this.#skipFinished();
  }

  /** DMA address of the next byte. */
  get address(): number {
    return this.#segments.address(this.#index) + this.#inSegment;
  }

  /** Goes on to the end of this page, at most `lengthBytes`. Returns how far. */
  advance(lengthBytes: number): number {
    assert(this.#index < this.#segments.count, "a transfer runs past the end of its mapping");
    return this.advanceInSegment(Math.min(lengthBytes, PAGE_BYTES - (this.address % PAGE_BYTES)));
  }

  /** Goes on to the end of this segment, at most `lengthBytes`. Returns how far. */
  advanceInSegment(lengthBytes: number): number {
    assert(this.#index < this.#segments.count, "a transfer runs past the end of its mapping");
    const inSegment = this.#segments.lengthBytes(this.#index) - this.#inSegment;
    const step = Math.min(lengthBytes, inSegment);
    this.#inSegment += step;
    this.#skipFinished();
    return step;
  }

  /** Another one at the same place, to look ahead with. */
  fork(): PageCursor {
    const fork = new PageCursor(this.#segments, 0);
    fork.#index = this.#index;
    fork.#inSegment = this.#inSegment;
    return fork;
  }

  #skipFinished(): void {
    while (
      this.#index < this.#segments.count &&
      this.#inSegment >= this.#segments.lengthBytes(this.#index)
    ) {
      this.#inSegment -= this.#segments.lengthBytes(this.#index);
      this.#index++;
    }
  }
}
