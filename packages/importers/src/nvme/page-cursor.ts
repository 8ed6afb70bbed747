/**
 * Page cursor: walks a mapping page by page, as a PRP list needs it.
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
    const inPage = PAGE_BYTES - (this.address % PAGE_BYTES);
    const inSegment = this.#segments.lengthBytes(this.#index) - this.#inSegment;
    const step = Math.min(lengthBytes, inPage, inSegment);
    this.#inSegment += step;
    this.#skipFinished();
    return step;
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
