/** Drivers that come with the project and need no registers, explored: `.ci/explore-shipped.js` does the same at length. */
import { explore, FAULT_KINDS } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import { lightSet } from "../src/shipped-drivers/light-scenarios.ts";

const { scenarios, checker } = lightSet();
const SCHEDULES = 300;

describe("shipped drivers in the explorer's own world", () => {
  it.each(scenarios.map((scenario) => ({ name: scenario.name, scenario })))(
    "$name: no rule is broken in a few hundred schedules with faults",
    async ({ scenario }) => {
      const report = await explore(scenario, {
        strategy: "portfolio",
        seed: 1,
        schedules: SCHEDULES,
        faults: FAULT_KINDS,
        faultsMax: 2,
        ...(checker === undefined ? {} : { checker }),
      });

      expect(report.failure?.story).toBeUndefined();
      expect(report.nondeterminism).toBeUndefined();
      expect(report.schedules).toBe(SCHEDULES);
    },
  );
});
