/**
 * Diagnosis of generated machines, complete and incomplete: it always comes, adds up, and keeps its word.
 */
import {
  diagnoseMachine,
  diagnosePair,
  type Finding,
  type Fix,
  generateFabric,
  judgePair,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const KERNELS = ["6.1", "6.12", "6.18", "7.2"] as const;
const SEVERITIES = ["blocks", "open", "slows", "note"];

const machines = fc
  .record({
    seed: fc.nat(0xffff),
    endpoints: fc.integer({ min: 1, max: 24 }),
    switchLevels: fc.integer({ min: 1, max: 3 }),
    redirectChance: fc.constantFrom(0, 0.1, 0.6),
    unknownChance: fc.constantFrom(0, 0, 0.2),
    virtualFunctionChance: fc.constantFrom(0, 0.3),
    cpu: fc.constantFrom(
      { vendor: "GenuineIntel", family: 6 },
      { vendor: "AuthenticAMD", family: 0x19 },
      "unknown" as const,
    ),
  })
  .map((options) =>
    generateFabric({ ...options, rootPorts: [1, 4], switchPorts: [1, 4], switchChance: 0.7 }),
  );

/** Every place that a finding blames is in the machine. */
const isKnownPlace = (topology: Topology, place: string): boolean =>
  topology.indexOf(place) >= 0 || topology.rootBuses.some(({ id }) => id === place);

function keepsItsWord(topology: Topology, kernel: string, fix: Fix): void {
  const rules = rulesForKernel(kernel);
  const cleared = topology.withAcsControl(
    new Map(fix.acsChanges.map(({ at, controlAfter }) => [topology.require(at), controlAfter])),
  );
  for (const { provider, client, before, after } of fix.effect?.changes ?? []) {
    const rows = [topology.require(provider), topology.require(client)] as const;
    expect(judgePair(topology, rules, ...rows).type).toBe(before);
    if (fix.kind === "clear-acs") {
      expect(judgePair(cleared, rules, ...rows).type).toBe(after);
    }
  }
}

describe("a generated machine", () => {
  it("is counted pair by pair, and its findings are ranked and about it", () => {
    fc.assert(
      fc.property(machines, fc.constantFrom(...KERNELS), (topology, kernel) => {
        const diagnosis = diagnoseMachine(topology, rulesForKernel(kernel), {
          between: topology.endpoints,
        });
        const { counts, pairCount, findings } = diagnosis;
        expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(pairCount);
        const ranks = findings.map(({ severity }: Finding) => SEVERITIES.indexOf(severity));
        expect(ranks).toEqual(ranks.toSorted((one, other) => one - other));
        expect(
          findings.flatMap(({ at }) => at).filter((at) => !isKnownPlace(topology, at)),
        ).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it("with a pair that is refused or open has a finding that says so", () => {
    fc.assert(
      fc.property(machines, (topology) => {
        const { counts, findings } = diagnoseMachine(topology, rulesForKernel("6.12"), {
          between: topology.endpoints,
        });
        const severities = new Set(findings.map(({ severity }) => severity));
        expect(counts.unsupported === 0 || severities.has("blocks")).toBe(true);
        expect(counts.unknown === 0 || severities.has("open")).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it("gets fixes that lead where they promise", () => {
    fc.assert(
      fc.property(machines, fc.constantFrom(...KERNELS), (topology, kernel) => {
        const rules = rulesForKernel(kernel);
        const { findings } = diagnoseMachine(topology, rules, { between: topology.endpoints });
        const [first = 0, last = 0] = [topology.endpoints[0], topology.endpoints.at(-1)];
        const ofPair = diagnosePair(topology, rules, first, last, { between: topology.endpoints });
        for (const fix of [...findings.flatMap(({ fixes }) => fixes), ...ofPair.fixes]) {
          keepsItsWord(topology, kernel, fix);
        }
      }),
      { numRuns: 40 },
    );
  });
});
