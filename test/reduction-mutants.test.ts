/**
 * Reduction and mutants: what plain exhaustive search finds in broken exporters, reduced search finds.
 *
 * The drivers say nothing of what they touch, as a stranger's would. Plain search tries what one preemption can do, as far as
 * its allowance goes; reduced search has no bound, and may have to see more schedules before it comes to the same mistake.
 */
import { explore, type Scenario, scenariosFor } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import { MUTANTS } from "./mutants/mutants.ts";

/** Mistakes that some orders of events show and others do not, and some that all show. */
const CASES = [
  ["copiesTooEarly", "two-readers"],
  ["copiesTooEarly", "reader-and-writer"],
  ["freesAtDetach", "movable-and-revocable"],
  ["freesTheOldPlaceAtOnce", "movable-and-pinned"],
  ["forgetsTheSignal", "two-readers"],
  ["leaksPages", "two-readers"],
  ["movesPinnedMemory", "movable-and-pinned"],
  ["movesSilently", "two-readers"],
] as const;
const PLAIN_MAX = 1_500;
const REDUCED_MAX = 15_000;

/** The rule of the first mistake that a search finds. */
async function found(scenario: Scenario, isReduced: boolean): Promise<string | undefined> {
  const { failure } = await explore(scenario, {
    strategy: "exhaustive",
    reduction: isReduced,
    schedules: isReduced ? REDUCED_MAX : PLAIN_MAX,
    ...(isReduced ? {} : { preemptionsMax: 1 }),
  });
  return failure?.violation.rule;
}

describe.each(CASES)("exhaustive search of %s in %s", (name, scene) => {
  const { driver, check } = MUTANTS[name] as NonNullable<(typeof MUTANTS)[string]>;
  const scenario = scenariosFor(driver, check ?? {}).find((each) =>
    each.name.endsWith(`/${scene}`),
  );

  it("finds with reduction what it finds without", async () => {
    const plain = await found(scenario as Scenario, false);
    const reduced = await found(scenario as Scenario, true);

    expect(plain).toBeDefined();
    expect(reduced).toBe(plain);
  });
});
