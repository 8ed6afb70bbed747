/** Generated fabrics: the same from the same seed, and consistent enough to route requests by. */
import { InputError } from "@peerbuf/core";
import {
  type FabricOptions,
  generateFabric,
  regularFabric,
  type Topology,
} from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const options: fc.Arbitrary<FabricOptions> = fc.record({
  seed: fc.nat(),
  endpoints: fc.integer({ min: 1, max: 60 }),
  switchChance: fc.double({ min: 0, max: 1, noNaN: true }),
  smallBarBytes: fc.constantFrom(0, 4096, 65_536, 2 ** 21),
  largeBarBytes: fc.constantFrom(0, 2 ** 16, 2 ** 28, 2 ** 34),
});

/** Memory ranges of BARs, in order of address. */
const barRanges = (topology: Topology) =>
  Array.from(topology.table.bdf.keys())
    .flatMap((row) =>
      topology.barsOf(row).map(({ start, size = 0 }) => ({ row, start, end: start + size })),
    )
    .sort((one, other) => one.start - other.start);

describe("a generated fabric", () => {
  it("is the same for the same options", () => {
    fc.assert(
      fc.property(options, (given) => {
        expect(generateFabric(given).records()).toEqual(generateFabric(given).records());
      }),
      { numRuns: 20 },
    );
  });

  it("has BARs aligned to their size that do not overlap", () => {
    fc.assert(
      fc.property(options, (given) => {
        const ranges = barRanges(generateFabric(given));
        for (const [index, { start, end }] of ranges.entries()) {
          expect(start % (end - start)).toBe(0);
          expect(ranges[index + 1]?.start ?? end).toBeGreaterThanOrEqual(end);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("has every BAR within a window of every bridge above it, and in no other bridge's", () => {
    fc.assert(
      fc.property(options, (given) => {
        const topology = generateFabric(given);
        for (const { row, start, end } of barRanges(topology)) {
          const above = new Set<number>();
          for (
            let bridge = topology.parentOf(row);
            bridge >= 0;
            bridge = topology.parentOf(bridge)
          ) {
            above.add(bridge);
          }
          for (const bridge of topology.table.bdf.keys()) {
            const windows = topology.windowsOf(bridge);
            const covers = windows.some((w) => start >= w.start && end <= w.start + w.size);
            expect(covers, `${topology.bdfOf(bridge)} covers a BAR of ${topology.bdfOf(row)}`).toBe(
              above.has(bridge),
            );
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it("keeps small BARs below 4 GiB and large ones above", () => {
    const topology = generateFabric({ seed: 5, endpoints: 100 });

    for (const row of topology.endpoints) {
      for (const { start, wide } of topology.barsOf(row)) {
        expect(start >= 2 ** 32).toBe(wide);
      }
    }
  });

  it("has as many endpoints as asked for, over as many domains as their buses need", () => {
    const topology = regularFabric(4096);

    expect(topology.endpoints.length).toBeGreaterThanOrEqual(4096);
    expect(topology.rootBuses.length).toBeGreaterThan(1);
  });

  it("takes ACS as decided by the caller", () => {
    const topology = generateFabric({
      seed: 1,
      endpoints: 20,
      acs: (role) =>
        role === "switch-downstream" ? { capability: 0x1f, control: 0x1d } : "absent",
    });

    for (const row of topology.table.bdf.keys()) {
      const expected = topology.table.portType[row] === 6 ? 0x1d : 0;
      expect(topology.table.acsControl[row]).toBe(expected);
    }
  });

  it.each<[string, Partial<FabricOptions>, RegExp]>([
    ["no endpoints", { endpoints: 0 }, /endpoints is 0/],
    ["BARs that are no power of two", { smallBarBytes: 1000 }, /powers of two/],
    ["33 ports a switch", { switchPorts: [1, 33] }, /switchPorts is 1 to 33/],
    ["more than fits below 4 GiB", { smallBarBytes: 2 ** 30 }, /do not fit below 4 GiB/],
  ])("refuses %s", (_, given, message) => {
    const make = () => generateFabric({ seed: 1, endpoints: 50, ...given });

    expect(make).toThrow(message);
    expect(make).toThrow(InputError);
  });
});
