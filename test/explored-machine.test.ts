/**
 * Explored machine: the drivers that program registers, on the modelled machine, under the explorer.
 *
 * A few schedules each, with faults and the checker; `.ci/explore-shipped.js` does 200,000.
 */
import {
  createChecker,
  explore,
  exploreInWorkers,
  FAULT_KINDS,
  replay,
  type Scenario,
} from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import { shippedScenarios } from "../packages/cli/src/shipped-drivers/shipped-scenarios.ts";
import { impatient } from "./explored/impatient-scenario.ts";

const SCHEDULES = 6;
const scenarios = shippedScenarios();
const options = { strategy: "portfolio", faults: FAULT_KINDS, faultsMax: 2 } as const;

const named = (name: string): Scenario => {
  const found = scenarios.find((each) => each.name === name);
  if (found === undefined) {
    throw new Error(`there is no scenario ${name}`);
  }
  return found;
};

describe("shipped drivers on the modelled machine", () => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
    "%s: no rule is broken",
    async (_name, scenario) => {
      const report = await explore(scenario, {
        ...options,
        schedules: SCHEDULES,
        checker: createChecker,
      });

      expect(report.nondeterminism).toBeUndefined();
      expect(report.failure?.story).toBeUndefined();
      expect(report.schedules).toBe(SCHEDULES);
    },
  );

  it("a seed gives the same runs again, and on other threads", async () => {
    const name = "shipped/gpu/nvme/system-heap";
    const module = new URL(
      "../packages/cli/dist/shipped-drivers/shipped-scenarios.js",
      import.meta.url,
    );
    const campaign = {
      ...options,
      source: { module: module.href, name: "shippedSet" },
      scenario: name,
      schedules: 24,
      seed: 5,
    };

    const one = await explore(named(name), {
      ...options,
      schedules: 24,
      seed: 5,
      checker: createChecker,
    });
    const again = await explore(named(name), {
      ...options,
      schedules: 24,
      seed: 5,
      checker: createChecker,
    });
    const spread = await exploreInWorkers(campaign, { workers: 2, shareSchedules: 8 });

    expect(again.hash).toBe(one.hash);
    expect(spread.hash).toBe(one.hash);
    expect(spread.faults).toEqual(one.faults);
  });

  it("a driver that unmaps before its device is done is caught, with a token that shows it again", async () => {
    const report = await explore(impatient, { schedules: 200 });

    expect(report.failure?.violation.rule).toBe("IMP-016");
    const shown = await replay([impatient], report.failure?.token ?? "");
    expect(shown.violations[0]?.rule).toBe("IMP-016");
    expect(shown.story).toContain("nothing is mapped for it there");
  });
});
