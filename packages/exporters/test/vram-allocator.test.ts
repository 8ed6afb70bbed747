import { VramAllocator, type VramPart, type VramRange } from "@peerbuf/exporters";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const PAGE = 4096;
const PAGES = 64;
const VISIBLE = 24;

type Step = { readonly take: number; readonly part: VramPart } | { readonly giveBack: number };

const part = fc.constantFrom<VramPart>("visible", "hidden", "any");
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ take: fc.integer({ min: 1, max: PAGES }), part }),
    fc.record({ giveBack: fc.nat(PAGES) }),
  ),
  { maxLength: 80 },
);

const bounds = { visible: [0, VISIBLE], hidden: [VISIBLE, PAGES], any: [0, PAGES] } as const;

/** One flag a page: what the allocator must agree with. */
class NaivePages {
  readonly taken: boolean[] = Array(PAGES).fill(false);

  free(of: VramPart): number {
    const [from, to] = bounds[of];
    return this.taken.slice(from, to).filter((taken) => !taken).length;
  }

  mark(ranges: readonly VramRange[], taken: boolean): void {
    for (const { offset, lengthBytes } of ranges) {
      for (let page = offset / PAGE; page < (offset + lengthBytes) / PAGE; page++) {
        expect(this.taken[page]).toBe(!taken);
        this.taken[page] = taken;
      }
    }
  }
}

describe("VRAM allocator", () => {
  it("gives out free pages of the right part only, and all of them before it is exhausted", () => {
    fc.assert(
      fc.property(steps, (run) => {
        const allocator = new VramAllocator(PAGES * PAGE, VISIBLE * PAGE);
        const naive = new NaivePages();
        const held: (readonly VramRange[])[] = [];
        for (const step of run) {
          if ("giveBack" in step) {
            const [ranges] = held.splice(step.giveBack % (held.length + 1), 1);
            allocator.free(ranges ?? []);
            naive.mark(ranges ?? [], false);
          } else if (step.take > naive.free(step.part)) {
            expect(() => allocator.allocate(step.take * PAGE, step.part)).toThrow(
              expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
            );
          } else {
            const ranges = allocator.allocate(step.take * PAGE, step.part);
            const [from, to] = bounds[step.part];
            for (const { offset, lengthBytes } of ranges) {
              expect(offset).toBeGreaterThanOrEqual(from * PAGE);
              expect(offset + lengthBytes).toBeLessThanOrEqual(to * PAGE);
            }
            naive.mark(ranges, true);
            expect(ranges.reduce((sum, range) => sum + range.lengthBytes, 0)).toBe(
              step.take * PAGE,
            );
            held.push(ranges);
          }
          for (const of of ["visible", "hidden", "any"] as const) {
            expect(allocator.freeBytes(of)).toBe(naive.free(of) * PAGE);
          }
        }
      }),
    );
  });

  it("gives one range when one is long enough", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: PAGES - VISIBLE }), (pages) => {
        const allocator = new VramAllocator(PAGES * PAGE, VISIBLE * PAGE);

        const ranges = allocator.allocate(pages * PAGE, "hidden");

        expect(ranges).toEqual([{ offset: VISIBLE * PAGE, lengthBytes: pages * PAGE }]);
      }),
    );
  });

  it("joins what is given back, so that all of it is one range again", () => {
    const allocator = new VramAllocator(PAGES * PAGE, VISIBLE * PAGE);
    const held = Array.from({ length: PAGES }, () => allocator.allocate(PAGE, "any"));
    for (const index of [1, 3, 2, 0, ...Array.from({ length: PAGES - 4 }, (_, at) => at + 4)]) {
      allocator.free(held[index] as readonly VramRange[]);
    }

    expect(allocator.allocate(PAGES * PAGE, "any")).toHaveLength(1);
  });

  it("names what is free when there is too little", () => {
    const allocator = new VramAllocator(PAGES * PAGE, VISIBLE * PAGE);

    expect(() => allocator.allocate((VISIBLE + 1) * PAGE, "visible")).toThrow(
      `${VISIBLE * PAGE} of ${VISIBLE * PAGE} are free`,
    );
  });
});
