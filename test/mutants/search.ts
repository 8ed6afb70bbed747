/**
 * Search: how many schedules a strategy takes until it has found a mutant.
 *
 * The runs are those of `peerbuf explore`: all scenarios of the driver in turn, every fault at most twice a run, the checker on.
 * Found is the first run that breaks one of the mutant's rules.
 */
import {
  createChecker,
  type ExploreReport,
  explore,
  FAULT_KINDS,
  type Scenario,
  type StrategyName,
  scenariosFor,
} from "@peerbuf/testkit";
import type { Mutant } from "./mutant.ts";

/** Over all scenarios together. */
export const SCHEDULES_MAX = 20_000;

/** Schedules after which a search begins anew: a scenario in which nothing is wrong should not take all of them first. */
const DEPTHS = [200, 2_000, SCHEDULES_MAX];

/** Undefined: not within the limit. */
export async function schedulesToFind(
  mutant: Mutant,
  strategy: StrategyName,
  seed: number,
): Promise<number | undefined> {
  for (const depth of DEPTHS) {
    const found = await foundWithin(depth, mutant, strategy, seed);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

async function foundWithin(
  depth: number,
  { driver, check, rules }: Mutant,
  strategy: StrategyName,
  seed: number,
): Promise<number | undefined> {
  const scenarios = scenariosFor(driver, check ?? {});
  let found: number | undefined;
  for (const [place, scenario] of scenarios.entries()) {
    // Their runs take turns, so a later scenario need not go beyond what an earlier one has found.
    const limit = Math.ceil(((found ?? depth) - place) / scenarios.length);
    const at = await firstOf(scenario, rules, { strategy, seed, limit });
    found = at === undefined ? found : at * scenarios.length + place + 1;
  }
  return found;
}

interface Wishes {
  readonly strategy: StrategyName;
  readonly seed: number;
  readonly limit: number;
}

/** The number of the first run that breaks one of the rules. */
async function firstOf(
  scenario: Scenario,
  rules: readonly string[],
  { strategy, seed, limit }: Wishes,
): Promise<number | undefined> {
  for (let first = 0; first < limit; ) {
    const report = await explore(scenario, {
      strategy,
      seed,
      first,
      schedules: limit - first,
      faults: FAULT_KINDS,
      faultsMax: 2,
      checker: createChecker,
    });
    if (report.failureAt === undefined || breaksOneOf(report, rules)) {
      return report.failureAt;
    }
    if (strategy === "exhaustive") {
      return undefined; // It goes on where it was, and that was another mistake's end.
    }
    first = report.failureAt + 1;
  }
  return undefined;
}

const breaksOneOf = ({ failure }: ExploreReport, rules: readonly string[]): boolean =>
  failure?.violations.some(({ rule }) => rules.includes(rule)) === true;

/** Of the seeds 1 to `seeds`; undefined: more than half of them are beyond the limit. Exhaustive search has no seed. */
export async function medianToFind(
  mutant: Mutant,
  strategy: StrategyName,
  seeds: number,
): Promise<number | undefined> {
  if (strategy === "exhaustive") {
    return schedulesToFind(mutant, strategy, 1);
  }
  const found: number[] = [];
  const half = Math.ceil(seeds / 2);
  for (let seed = 1; seed <= seeds && seed - 1 - found.length < half; seed++) {
    const count = await schedulesToFind(mutant, strategy, seed);
    if (count !== undefined) {
      found.push(count);
    }
  }
  return found.sort((one, other) => one - other)[half - 1];
}
