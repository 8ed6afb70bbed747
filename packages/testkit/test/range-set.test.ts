/** The range set under the checker's ledgers, held against a plain set of numbers. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { RangeSet } from "../src/checker/range-set.ts";

const SPACE = 64;
const range = fc
  .tuple(fc.nat(SPACE - 1), fc.integer({ min: 1, max: 16 }))
  .map(([start, length]) => [start, Math.min(SPACE, start + length)] as const);
const change = fc.tuple(fc.constantFrom("add", "remove"), range);

it("overlaps exactly what was added and not removed", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), range, (changes, [from, to]) => {
      const ranges = new RangeSet();
      const numbers = new Set<number>();
      for (const [what, [start, end]] of changes) {
        ranges[what](start, end);
        for (let at = start; at < end; at++) {
          numbers[what === "add" ? "add" : "delete"](at);
        }
      }
      const isIn = Array.from({ length: to - from }, (_, at) => numbers.has(from + at));

      expect(ranges.overlaps(from, to)).toBe(isIn.includes(true));
    }),
  );
});
