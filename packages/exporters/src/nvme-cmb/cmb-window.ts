/**
 * CMB window: a controller memory buffer as the CPU sees it, through the BAR it lies in.
 */
import { type Bar, PhysicalRanges } from "@peerbuf/core";
import type { VramRange } from "../gpu/vram-allocator.ts";

const CLEAR_BYTES = 64 * 1024;

/** Ranges are offsets into the memory buffer, not into its BAR. */
export class CmbWindow {
  readonly sizeBytes: number;
  readonly #bar: Bar;
  readonly #offset: number;
  readonly #requireAnswer: () => void;

  /** `requireAnswer` throws when the drive is gone, whose memory then reads as all ones. */
  constructor(bar: Bar, offset: number, sizeBytes: number, requireAnswer: () => void) {
    this.#bar = bar;
    this.#requireAnswer = requireAnswer;
    this.#offset = offset;
    // A BAR may show less than the drive has (Linux 6.12 cuts it in the same way).
    this.sizeBytes = Math.min(sizeBytes, bar.sizeBytes - offset);
  }

  physical(ranges: readonly VramRange[]): PhysicalRanges {
    const start = this.#bar.start + this.#offset;
    const rows = ranges.flatMap(({ offset, lengthBytes }) => [start + offset, lengthBytes]);
    return new PhysicalRanges(Float64Array.from(rows));
  }

  read(ranges: readonly VramRange[], target: Uint8Array): void {
    eachPart(ranges, target, (offset, part) => this.#bar.read(this.#offset + offset, part));
    this.#requireAnswer();
  }

  write(ranges: readonly VramRange[], source: Uint8Array): void {
    eachPart(ranges, source, (offset, part) => this.#bar.write(this.#offset + offset, part));
    this.#requireAnswer();
  }

  /** Nobody sees what was there before. */
  clear(ranges: readonly VramRange[]): void {
    const zeros = new Uint8Array(CLEAR_BYTES);
    for (const { offset, lengthBytes } of ranges) {
      for (let done = 0; done < lengthBytes; done += CLEAR_BYTES) {
        const piece = zeros.subarray(0, lengthBytes - done);
        this.#bar.write(this.#offset + offset + done, piece);
      }
    }
  }
}

function eachPart(
  ranges: readonly VramRange[],
  bytes: Uint8Array,
  visit: (offset: number, part: Uint8Array) => void,
): void {
  let done = 0;
  for (const { offset, lengthBytes } of ranges) {
    visit(offset, bytes.subarray(done, done + lengthBytes));
    done += lengthBytes;
  }
}
