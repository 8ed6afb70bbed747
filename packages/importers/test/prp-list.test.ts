import { SegmentList } from "@peerbuf/core";
import { buildPrps, listPagesFor, PageCursor } from "@peerbuf/importers";
import { SparseMemory, walkPrps } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const PAGE = 4096;
const LIST_ADDRESS = 0x10_0000;

/** Segments of whole pages in mixed order; neighbours never touch, so each border shows. */
const segmentLists = fc
  .array(fc.record({ slot: fc.nat(5000), pages: fc.integer({ min: 1, max: 9 }) }), {
    minLength: 1,
    maxLength: 200,
  })
  .map((rows) => {
    const table = rows.flatMap(({ slot, pages }, index) => [
      0x1_0000_0000 + (slot * 1000 + index) * 10 * PAGE,
      pages * PAGE,
      0,
    ]);
    const sizeBytes = rows.reduce((sum, { pages }) => sum + pages * PAGE, 0);
    return new SegmentList(Float64Array.from(table), sizeBytes);
  });

/** The address of each byte of a part of a mapping, told in runs: what both sides must agree on. */
function runsOf(segments: SegmentList, offset: number, lengthBytes: number): number[] {
  const runs: number[] = [];
  let begin = 0;
  for (let index = 0; index < segments.count; index++) {
    const from = Math.max(offset, begin);
    const to = Math.min(offset + lengthBytes, begin + segments.lengthBytes(index));
    if (from < to) {
      runs.push(segments.address(index) + from - begin, to - from);
    }
    begin += segments.lengthBytes(index);
  }
  return runs;
}

/** Builds a list as the driver does and walks it as the controller does. */
function walked(cursor: PageCursor, lengthBytes: number): ReturnType<typeof walkPrps> {
  const bytes = new Uint8Array(listPagesFor(lengthBytes) * PAGE);
  const list = { bytes, deviceAddress: LIST_ADDRESS };
  const { prp1, prp2, listBytes } = buildPrps(cursor, lengthBytes, list);
  const memory = new SparseMemory(4 * 2 ** 20);
  memory.write(LIST_ADDRESS, bytes, 0, listBytes);
  const port = {
    read(address: number, target: Uint8Array, targetOffset: number, length: number) {
      memory.read(address, target, targetOffset, length);
      return { ok: true, lostBytes: 0 };
    },
  };
  return walkPrps(port, prp1, prp2, lengthBytes);
}

describe("PRP lists", () => {
  it("lead the controller to exactly the bytes the driver meant, command after command", () => {
    const parts = segmentLists.chain((segments) =>
      fc.record({
        segments: fc.constant(segments),
        offset: fc.nat(segments.sizeBytes / 4 - 1).map((words) => 4 * words),
        commandBytes: fc.integer({ min: 1, max: 1200 }).map((blocks) => 512 * blocks),
      }),
    );

    fc.assert(
      fc.property(parts, ({ segments, offset, commandBytes }) => {
        const cursor = new PageCursor(segments, offset);
        const end = segments.sizeBytes;
        for (let at = offset; at < end; at += commandBytes) {
          const length = Math.min(commandBytes, end - at);

          const result = walked(cursor, length);

          expect(result).toEqual({ status: 0, runs: runsOf(segments, at, length) });
        }
      }),
    );
  });

  it("chain list pages when one is not enough", () => {
    const pages = 2000;
    const rows = Array.from({ length: pages }, (_, page) => [
      0x1000_0000 + 2 * page * PAGE,
      PAGE,
      0,
    ]);
    const segments = new SegmentList(Float64Array.from(rows.flat()), pages * PAGE);

    const result = walked(new PageCursor(segments, 0), segments.sizeBytes);

    expect(listPagesFor(segments.sizeBytes)).toBe(4);
    expect(result).toEqual({ status: 0, runs: runsOf(segments, 0, segments.sizeBytes) });
  });

  it("need as many list pages as entries and chain pointers fill", () => {
    const entriesOf = (bytes: number) => Math.ceil(bytes / PAGE);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 * 2 ** 20 }), (bytes) => {
        const pages = listPagesFor(bytes);
        expect(512 * pages - (pages - 1)).toBeGreaterThanOrEqual(entriesOf(bytes));
      }),
    );
  });
});
