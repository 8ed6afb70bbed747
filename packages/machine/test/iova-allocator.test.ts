import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IovaAllocator } from "../src/iommu/iova-allocator.ts";

const PAGE = 4096;
/** Pages that the naive model looks at; limits keep allocations within. */
const PAGES = 64;

/** The same answers the slow way: one flag a page. */
class NaiveAllocator {
  readonly taken = new Array<boolean>(PAGES).fill(false);

  constructor(reserved: readonly (readonly [first: number, end: number])[]) {
    this.taken[0] = true;
    for (const [first, end] of reserved) {
      this.taken.fill(true, first, end);
    }
  }

  allocate(count: number, limitPage: number, alignPages: number): number | undefined {
    const alignment = Math.max(alignPages, 2 ** Math.ceil(Math.log2(count)));
    for (let first = limitPage - count; first >= 0; first--) {
      if (first % alignment === 0 && !this.taken.slice(first, first + count).includes(true)) {
        this.taken.fill(true, first, first + count);
        return first;
      }
    }
    return undefined;
  }

  free(first: number, count: number): void {
    this.taken.fill(false, first, first + count);
  }
}

describe("IOVA allocator", () => {
  it("gives out the same addresses as a naive one, whatever is reserved, taken and given back", () => {
    const step = fc.record({
      count: fc.integer({ min: 1, max: 20 }),
      limitPage: fc.integer({ min: 1, max: PAGES }),
      alignPages: fc.constantFrom(1, 1, 4, 16),
      free: fc.option(fc.nat()),
    });
    const reserved = fc.array(
      fc.tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 8 })).map(([first, count]) => {
        return [first, Math.min(first + count, PAGES)] as const;
      }),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(reserved, fc.array(step, { maxLength: 60 }), (ranges, steps) => {
        const ours = new IovaAllocator(
          ranges.map(([first, end]) => ({ start: first * PAGE, end: end * PAGE })),
        );
        const naive = new NaiveAllocator(ranges);
        const live: (readonly [first: number, count: number])[] = [];
        for (const { count, limitPage, alignPages, free } of steps) {
          if (free !== null && live.length > 0) {
            const [gone] = live.splice(free % live.length, 1) as [readonly [number, number]];
            ours.free(...gone);
            naive.free(...gone);
          }
          const got = ours.allocate(count, limitPage * PAGE - 1, alignPages);
          expect(got).toBe(naive.allocate(count, limitPage, alignPages));
          if (got !== undefined) {
            live.push([got, count]);
          }
        }
      }),
    );
  });

  it("never gives out address 0, nor a part of a reserved page", () => {
    const allocator = new IovaAllocator([{ start: 2 * PAGE + 1, end: 3 * PAGE - 1 }]);
    const taken = [1, 2, 3, 4].map(() => allocator.allocate(1, 4 * PAGE - 1));

    expect(taken).toEqual([3, 1, undefined, undefined]);
  });

  it("stops when something is given back that is not taken", () => {
    const allocator = new IovaAllocator([]);
    const first = allocator.allocate(2, 2 ** 32 - 1) as number;
    allocator.free(first, 2);

    expect(() => allocator.free(first, 2)).toThrow(/given back twice/);
  });
});
