/**
 * Mutants: the kit names the rule that each broken driver breaks, and finds nothing in good ones.
 *
 * A mutant that the contract suite is to find is found without any luck; the others take a certain order of
 * events, or a fault at a bad moment, and are found by the explorer from a stated seed.
 */
import {
  checkContract,
  contractOf,
  createChecker,
  type DriverCheck,
  explore,
  FAULT_KINDS,
  ruleOf,
  scenariosFor,
} from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import type { Mutant } from "./mutants/mutant.ts";
import { GOOD_DRIVERS, MUTANTS } from "./mutants/mutants.ts";

const SEED = 1;
/** Of each scenario, without faults and with. */
const SCHEDULES_MAX = 200;
/** For good drivers, each scenario: the large campaign is `peerbuf explore`. */
const SCHEDULES_GOOD = 60;

type UnderTest = Pick<Mutant, "driver" | "check">;

const contractFor = ({ driver, check }: UnderTest) =>
  checkContract(contractOf(driver, (check ?? {}) as DriverCheck<undefined, object>));

async function exploredRules(
  { driver, check }: UnderTest,
  schedules: number,
  isEnough: (rule: string) => boolean,
): Promise<string[]> {
  const found: string[] = [];
  for (const scenario of scenariosFor(driver, check ?? {})) {
    for (const faults of [[], FAULT_KINDS]) {
      const { failure } = await explore(scenario, {
        strategy: "portfolio",
        seed: SEED,
        schedules,
        faults,
        faultsMax: 2,
        checker: createChecker,
      });
      found.push(...(failure?.violations.map(({ rule }) => rule) ?? []));
      if (found.some(isEnough)) {
        return found;
      }
    }
  }
  return found;
}

const entries = Object.entries(MUTANTS);
const foundBy = (by: Mutant["by"]) =>
  entries.filter(([, mutant]) => mutant.by === by).map(([name, mutant]) => ({ name, ...mutant }));

describe("mutants", () => {
  it("are at least 40, each with rules that exist and a name of its own", () => {
    const names = entries.map(([, { driver }]) => driver.name);

    expect(entries.length).toBeGreaterThanOrEqual(40);
    expect(new Set(names).size).toBe(names.length);
    for (const [, { rules }] of entries) {
      expect(rules.map((rule) => ruleOf(rule).id)).toEqual(rules);
    }
  });

  it.each(foundBy("contract"))(
    "$name breaks $rules.0, says the suite: $mistake",
    async (mutant) => {
      const { violations } = await contractFor(mutant);

      expect(violations.map(({ rule }) => rule)).toContain(mutant.rules[0]);
      if (mutant.isExact === true || mutant.driver.role === "importer") {
        expect(violations[0]?.rule).toBe(mutant.rules[0]);
      }
    },
  );

  it.each(foundBy("explorer"))(
    "$name breaks $rules.0, says the explorer: $mistake",
    async (mutant) => {
      const isOurs = (rule: string) => (mutant.rules as readonly string[]).includes(rule);

      const found = await exploredRules(mutant, SCHEDULES_MAX, isOurs);

      expect(found.filter(isOurs)).not.toEqual([]);
    },
  );
});

describe("good drivers", () => {
  it.each(GOOD_DRIVERS.map((good) => ({ name: good.driver.name, ...good })))(
    "$name breaks no rule",
    async (good) => {
      const { violations } = await contractFor(good);

      expect(violations).toEqual([]);
      expect(await exploredRules(good, SCHEDULES_GOOD, () => true)).toEqual([]);
    },
  );
});
