/**
 * All pairs: the fast table, the pair judge and the plain walk agree with the textbook on machines
 * nobody wrote by hand, with and without unknown facts.
 */
import { InputError } from "@peerbuf/core";
import {
  ALL_PAIRS_COUNT_MAX,
  buildTopology,
  createJudge,
  type FabricOptions,
  type FunctionRecord,
  generateFabric,
  judgeAllPairs,
  judgePair,
  judgePairByPair,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { possibleMachines, type TextbookMachine, textbookVerdict } from "./textbook.ts";

const rules = rulesForKernel();
const CPUS = [
  { vendor: "AuthenticAMD", family: 0x19 },
  { vendor: "AuthenticAMD", family: 0x15 },
  { vendor: "HygonGenuine", family: 0x18 },
  { vendor: "GenuineIntel", family: 6 },
];

const fabric = (unknownChance: fc.Arbitrary<number>, cpus: readonly FabricOptions["cpu"][]) =>
  fc
    .record({
      seed: fc.nat(),
      endpoints: fc.integer({ min: 2, max: 24 }),
      switchChance: fc.double({ min: 0, max: 1, noNaN: true }),
      hostFunctionChance: fc.double({ min: 0, max: 1, noNaN: true }),
      virtualFunctionChance: fc.double({ min: 0, max: 1, noNaN: true }),
      redirectChance: fc.constantFrom(0, 0.05, 0.3),
      acsChance: fc.constantFrom(0, 0.5, 1),
      unknownChance,
      cpu: fc.constantFrom(...cpus),
    })
    .map((options) => generateFabric(options as FabricOptions));

const textbookOf = (topology: Topology): TextbookMachine => ({
  functions: new Map(topology.records().map((record) => [record.bdf, record])),
  cpu: topology.facts.cpu,
});

const everyRow = (topology: Topology): Int32Array => Int32Array.from(topology.table.bdf.keys());

/** Compares all four ways for every pair of functions, bridges included. */
function expectAgreement(topology: Topology, expected: (p: string, c: string) => unknown): void {
  const rows = everyRow(topology);
  const fast = judgeAllPairs(topology, rules, rows);
  const slow = judgePairByPair(topology, rules, rows);
  const judge = createJudge(topology, rules);
  for (const provider of rows) {
    for (const client of rows) {
      const [from, to] = [topology.bdfOf(provider), topology.bdfOf(client)];
      const answers = [fast, slow].map((table) => {
        const [p, c] = [table.positionOf(provider), table.positionOf(client)];
        return { type: table.typeAt(p, c), distance: table.distanceAt(p, c) };
      });
      const { type, distance } = judgePair(topology, rules, provider, client);
      const { reads, distance: judged } = judge.judge(from, to);
      const wanted = expected(from, to);
      expect(
        [...answers, { type, distance }, { type: reads, distance: judged }],
        `${from} to ${to}`,
      ).toEqual([wanted, wanted, wanted, wanted]);
    }
  }
}

describe("all pairs", () => {
  it("agree with the textbook where every fact is known", () => {
    fc.assert(
      fc.property(fabric(fc.constant(0), CPUS), (topology) => {
        const machine = textbookOf(topology);

        expectAgreement(topology, (from, to) => textbookVerdict(machine, from, to));
      }),
      { numRuns: 60 },
    );
  });

  it("are unknown exactly where the unknown facts allow two answers", () => {
    const unknown = fc.constantFrom(0.02, 0.2, 0.7);
    fc.assert(
      fc.property(fabric(unknown, [...CPUS, "unknown"]), (topology) => {
        const machines = possibleMachines(textbookOf(topology));

        expectAgreement(topology, (from, to) => {
          const verdicts = machines.map((machine) => textbookVerdict(machine, from, to));
          const types = new Set(verdicts.map(({ type }) => type));
          const [first] = verdicts;
          return { type: types.size === 1 ? first?.type : "unknown", distance: first?.distance };
        });
      }),
      { numRuns: 60 },
    );
  });

  it("name the missing fact wherever a pair is unknown", () => {
    fc.assert(
      fc.property(fabric(fc.constant(0.3), [...CPUS, "unknown"]), (topology) => {
        for (const provider of topology.endpoints) {
          for (const client of topology.endpoints) {
            const { type, reasons } = judgePair(topology, rules, provider, client);
            const missing = reasons.filter(({ code }) => /UNKNOWN|UNVERIFIED/.test(code));
            expect(type === "unknown" ? missing.length : 1).toBeGreaterThan(0);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it("count every ordered pair once", () => {
    const pairs = judgeAllPairs(generateFabric({ seed: 7, endpoints: 100 }), rules);

    const total = Object.values(pairs.counts()).reduce((sum, count) => sum + count, 0);
    expect(total).toBe(pairs.count ** 2);
  });

  it("hold the long distances of deeply nested bridges", () => {
    const chain: FunctionRecord[] = Array.from({ length: 200 }, (_, bus) => ({
      bdf: `${bus.toString(16)}:00.0`,
      acs: "absent",
      secondaryBus: bus + 1,
      subordinateBus: 0xc8,
    }));
    const topology = buildTopology("deep", [...chain, { bdf: "c8:00.0", acs: "absent" }]);
    const rows = everyRow(topology);
    const pairs = judgeAllPairs(topology, rules, rows);

    const [top, bottom] = [topology.require("0:0.0"), topology.require("c8:00.0")];
    expect(pairs.distanceAt(pairs.positionOf(top), pairs.positionOf(bottom))).toBe(200);
    expect(pairs.typeAt(pairs.positionOf(bottom), pairs.positionOf(top))).toBe("bus-addr");
  });

  it("refuse more functions than a table can hold", () => {
    const topology = generateFabric({ seed: 1, endpoints: 2 });

    expect(() => judgeAllPairs(topology, rules, new Int32Array(ALL_PAIRS_COUNT_MAX + 1))).toThrow(
      InputError,
    );
  });

  it("are empty on a machine without functions", () => {
    expect(judgeAllPairs(buildTopology("empty", []), rules).count).toBe(0);
  });
});
