import {
  type DmaLimits,
  PhysicalRanges,
  SegmentList,
  segmentsAtOffset,
  UNLIMITED,
} from "@peerbuf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const PAGE = 4096;

/** Page-aligned ranges in any order, some of them touching. */
const anyRanges = fc
  .array(fc.record({ page: fc.nat(500), pages: fc.integer({ min: 1, max: 40 }) }), {
    minLength: 1,
    maxLength: 12,
  })
  .map(
    (rows) =>
      new PhysicalRanges(
        Float64Array.from(rows.flatMap(({ page, pages }) => [page * PAGE, pages * PAGE])),
      ),
  );

const anyLimits: fc.Arbitrary<DmaLimits> = fc.record({
  addressMax: fc.constantFrom(UNLIMITED.addressMax, 600 * PAGE - 1, 300 * PAGE - 1),
  segmentBytesMax: fc.constantFrom(UNLIMITED.segmentBytesMax, PAGE, 3 * PAGE, 16 * PAGE),
  segmentCountMax: fc.constantFrom(UNLIMITED.segmentCountMax, 1, 5, 64),
  boundaryBytes: fc.constantFrom(0, PAGE, 8 * PAGE, 64 * PAGE),
  alignmentBytes: fc.constantFrom(1, PAGE, 2 * PAGE),
});

/** Every page of the buffer, in order, as one number. */
function pagesOf(
  count: number,
  start: (index: number) => number,
  length: (index: number) => number,
): number[] {
  const pages: number[] = [];
  for (let index = 0; index < count; index++) {
    for (let at = 0; at < length(index); at += PAGE) {
      pages.push(start(index) + at);
    }
  }
  return pages;
}

describe("segments at an offset", () => {
  it("reach exactly the bytes of the ranges, in order, whatever the limits", () => {
    fc.assert(
      fc.property(anyRanges, anyLimits, fc.constantFrom(0, 7 * PAGE), (ranges, limits, offset) => {
        const segments = segmentsAtOffset(ranges, offset, limits, false);
        fc.pre(segments instanceof SegmentList);
        const wanted = pagesOf(
          ranges.count,
          (i) => ranges.start(i) + offset,
          (i) => ranges.lengthBytes(i),
        );
        const got = pagesOf(
          segments.count,
          (i) => segments.address(i),
          (i) => segments.lengthBytes(i),
        );
        expect(got).toEqual(wanted);
        expect(segments.sizeBytes).toBe(ranges.sizeBytes);
      }),
    );
  });

  it("keep every limit, or say which one cannot be kept", () => {
    fc.assert(
      fc.property(anyRanges, anyLimits, (ranges, limits) => {
        const answer = segmentsAtOffset(ranges, 0, limits, true);
        if (!(answer instanceof SegmentList)) {
          expect(["ADDRESS_ABOVE_MASK", "ALIGNMENT", "SEGMENT_COUNT"]).toContain(answer.code);
          return;
        }
        expect(answer.count).toBeLessThanOrEqual(limits.segmentCountMax);
        for (let index = 0; index < answer.count; index++) {
          const first = answer.address(index);
          const last = first + answer.lengthBytes(index) - 1;
          expect(last).toBeLessThanOrEqual(limits.addressMax);
          expect(answer.lengthBytes(index)).toBeLessThanOrEqual(limits.segmentBytesMax);
          expect(first % limits.alignmentBytes).toBe(0);
          expect(answer.isBusAddress(index)).toBe(true);
          if (limits.boundaryBytes > 0) {
            expect(Math.floor(first / limits.boundaryBytes)).toBe(
              Math.floor(last / limits.boundaryBytes),
            );
          }
        }
      }),
    );
  });

  it("refuse only what no cutting could make possible", () => {
    fc.assert(
      fc.property(anyRanges, (ranges) => {
        expect(segmentsAtOffset(ranges, 0, UNLIMITED, false)).toBeInstanceOf(SegmentList);
      }),
    );
  });

  it("join neighbours that touch into one segment", () => {
    const ranges = new PhysicalRanges(Float64Array.of(0, PAGE, PAGE, PAGE, 4 * PAGE, PAGE));

    const segments = segmentsAtOffset(ranges, 0, UNLIMITED, false) as SegmentList;

    expect([...segments.table]).toEqual([0, 2 * PAGE, 0, 4 * PAGE, PAGE, 0]);
  });

  it("have an end where a driver names terabytes to a device that takes a page at a time", () => {
    const ranges = new PhysicalRanges(Float64Array.of(0, 2 ** 48));

    expect(
      segmentsAtOffset(ranges, 0, { ...UNLIMITED, segmentBytesMax: PAGE }, false),
    ).toMatchObject({
      code: "SEGMENT_COUNT",
      text: "the buffer needs more than the 4194304 segments that a list can have",
    });
  });

  it.each([
    [-1, 1],
    [0, 0],
    [0.5, 1],
    [2 ** 53, 1],
  ])("ranges cannot start at %d with %d bytes", (start, length) => {
    expect(() => new PhysicalRanges(Float64Array.of(start, length))).toThrow(
      expect.objectContaining({ code: "ADDRESS_INVALID" }),
    );
  });
});
