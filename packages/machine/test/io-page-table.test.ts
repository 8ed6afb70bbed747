import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IOVA_END, IoPageTable, MAY_READ, MAY_WRITE } from "../src/iommu/page-table.ts";

const KIB_4 = 2 ** 12;
const MIB_2 = 2 ** 21;
const GIB_1 = 2 ** 30;

function translated(table: IoPageTable, iova: number): number | undefined {
  if (!table.find(iova)) {
    return undefined;
  }
  const span = [KIB_4, MIB_2, GIB_1][table.level] as number;
  return table.leaf - (table.leaf % KIB_4) + (iova % span);
}

describe("IO page table", () => {
  it("takes the largest page that address, target and length allow", () => {
    const table = new IoPageTable();
    table.map(GIB_1 - KIB_4, 3 * GIB_1 - KIB_4, KIB_4 + GIB_1 + MIB_2 + KIB_4, MAY_READ);

    const levels = [GIB_1 - KIB_4, GIB_1, 2 * GIB_1, 2 * GIB_1 + MIB_2].map((iova) => {
      expect(translated(table, iova)).toBe(iova + 2 * GIB_1);
      return table.level;
    });

    expect(levels).toEqual([0, 2, 1, 0]);
    expect(table.leafCount).toBe(4);
  });

  it("uses small pages when address and target are not aligned alike", () => {
    const table = new IoPageTable();
    table.map(MIB_2, MIB_2 + KIB_4, MIB_2, MAY_READ);

    expect(table.leafCount).toBe(512);
  });

  it("keeps rights beside the address, up to the last page and the last physical bit", () => {
    const table = new IoPageTable();
    const physical = 2 ** 52 - KIB_4;
    table.map(IOVA_END - KIB_4, physical, KIB_4, MAY_READ | MAY_WRITE);

    expect(translated(table, IOVA_END - 1)).toBe(physical + KIB_4 - 1);
    expect(table.leaf % KIB_4).toBe(MAY_READ | MAY_WRITE);
    expect(table.find(IOVA_END)).toBe(false);
  });

  it("refuses to map what is mapped, large over small and small over large", () => {
    const table = new IoPageTable();
    table.map(MIB_2, 0, MIB_2, MAY_READ);
    table.map(2 * MIB_2 + KIB_4, 0, KIB_4, MAY_READ);

    expect(() => table.map(MIB_2 + KIB_4, 0, KIB_4, MAY_READ)).toThrow(/mapped once/);
    expect(() => table.map(2 * MIB_2, 0, MIB_2, MAY_READ)).toThrow(/mapped once/);
    expect(() => table.unmap(0, KIB_4)).toThrow(/only what is mapped/);
  });

  it("translates exactly what is mapped, whatever is mapped and unmapped", () => {
    const UNIT = MIB_2 / 4;
    const step = fc.record({
      unit: fc.nat(31),
      count: fc.integer({ min: 1, max: 12 }),
      target: fc.nat(63),
      unmap: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const table = new IoPageTable();
        const naive = new Map<number, number>();
        const live: (readonly [unit: number, count: number])[] = [];
        for (const { unit, count, target, unmap } of steps) {
          if (unmap !== null && live.length > 0) {
            const [gone] = live.splice(unmap % live.length, 1) as [readonly [number, number]];
            table.unmap(gone[0] * UNIT, gone[1] * UNIT);
            for (let index = 0; index < gone[1]; index++) {
              naive.delete(gone[0] + index);
            }
          }
          const units = Array.from({ length: count }, (_, index) => unit + index);
          if (!units.some((one) => naive.has(one))) {
            table.map(unit * UNIT, target * UNIT, count * UNIT, MAY_WRITE);
            for (const one of units) {
              naive.set(one, (target + one - unit) * UNIT);
            }
            live.push([unit, count]);
          }
          for (let one = 0; one < 44; one++) {
            const expected = naive.get(one);
            expect(translated(table, one * UNIT)).toBe(expected);
            expect(translated(table, (one + 1) * UNIT - 1)).toBe(
              expected === undefined ? undefined : expected + UNIT - 1,
            );
          }
        }
        for (const [unit, count] of live) {
          table.unmap(unit * UNIT, count * UNIT);
        }
        expect(table.leafCount).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
