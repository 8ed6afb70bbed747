import { SegmentList } from "@peerbuf/core";
import { buildSgl, PageCursor } from "@peerbuf/importers";
import { SparseMemory, walkSgl } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const LIST_ADDRESS = 0x10_0000;

/** Segments of any length at any address, in mixed order; neighbours never touch, so each border shows. */
const segmentLists = fc
  .array(fc.record({ slot: fc.nat(5000), lengthBytes: fc.integer({ min: 1, max: 9000 }) }), {
    minLength: 1,
    maxLength: 200,
  })
  .map((rows) => {
    const table = rows.flatMap(({ slot, lengthBytes }, index) => [
      0x1_0000_0001 + (slot * 1000 + index) * 10_000,
      lengthBytes,
      0,
    ]);
    const sizeBytes = rows.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
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

describe("SGLs", () => {
  it("lead the controller to exactly the bytes the driver meant, command after command", () => {
    const parts = segmentLists.chain((segments) =>
      fc.record({
        segments: fc.constant(segments),
        offset: fc.nat(segments.sizeBytes - 1),
        commandBytes: fc.integer({ min: 1, max: 300_000 }),
        way: fc.constantFrom("to-host" as const, "from-host" as const),
      }),
    );

    fc.assert(
      fc.property(parts, ({ segments, offset, commandBytes, way }) => {
        const cursor = new PageCursor(segments, offset);
        const bytes = new Uint8Array(16 * segments.count);
        const memory = new SparseMemory(2 * 2 ** 20);
        const port = {
          read(address: number, target: Uint8Array, targetOffset: number, length: number) {
            memory.read(address, target, targetOffset, length);
            return { ok: true, lostBytes: 0 };
          },
        };
        for (let at = offset; at < segments.sizeBytes; at += commandBytes) {
          const length = Math.min(commandBytes, segments.sizeBytes - at);
          const list = { bytes, deviceAddress: LIST_ADDRESS };
          const { listBytes, ...first } = buildSgl(cursor, length, list);
          memory.write(LIST_ADDRESS, bytes, 0, listBytes);

          const result = walkSgl(port, first, length, way);

          expect(result).toEqual({ status: 0, runs: runsOf(segments, at, length) });
        }
      }),
    );
  });
});
