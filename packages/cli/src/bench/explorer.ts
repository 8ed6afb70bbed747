/**
 * Explorer: schedules a second of two importers that attach, map and read one buffer while it moves, without and with the checker.
 *
 * The bar is for processor time of one core: another process on the same machine takes nothing away from them.
 */
import { setFlagsFromString } from "node:v8";
import {
  type CheckerMaker,
  createChecker,
  EXAMPLES,
  explore,
  type Scenario,
} from "@peerbuf/testkit";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { medianOf } from "./measure.ts";

const SCHEDULES = 20_000;
const RATE_BAR = { value: ">= 20000" };
const CHECKED_BAR = { ratio: ">= 0.25" };

export const explorerRate: Bench = {
  name: "testkit.schedules",
  async run({ quick }): Promise<BenchResult> {
    const [value] = await rates(quick, [undefined]);
    return {
      name: this.name,
      unit: "schedules/s",
      value: rounded(value as number),
      bar: RATE_BAR,
      ok: meets(RATE_BAR, value as number, undefined),
    };
  },
};

/** What the checker costs, as `peerbuf explore` runs it. */
export const explorerChecked: Bench = {
  name: "testkit.schedules-checked",
  async run({ quick }): Promise<BenchResult> {
    const [value, baseline] = await withShortLives(() => rates(quick, [createChecker, undefined]));
    const ratio = (value as number) / (baseline as number);
    return {
      name: this.name,
      unit: "schedules/s",
      value: rounded(value as number),
      baseline: { name: "no checker", value: rounded(baseline as number) },
      ratio: rounded(ratio),
      bar: CHECKED_BAR,
      ok: meets(CHECKED_BAR, value as number, ratio),
    };
  },
};

/** V8 as the child of `peerbuf explore` has it: see SHORT_LIVES in `../driver-kit/kit-process.ts`. */
async function withShortLives<T>(work: () => Promise<T>): Promise<T> {
  setFlagsFromString("--no-allocation-site-pretenuring");
  try {
    return await work();
  } finally {
    setFlagsFromString("--allocation-site-pretenuring");
  }
}

/** Schedules a second with each of these checkers, in alternating rounds. */
async function rates(
  quick: boolean,
  checkers: readonly (CheckerMaker | undefined)[],
): Promise<number[]> {
  const scenario = example("two-importers");
  const figures = checkers.map((): number[] => []);
  for (let round = 0; round <= (quick ? 1 : 5); round++) {
    for (const [index, checker] of checkers.entries()) {
      const figure = await schedulesPerSecond(scenario, quick ? 1_000 : SCHEDULES, checker);
      if (round > 0) {
        figures[index]?.push(figure);
      }
    }
  }
  return figures.map(medianOf);
}

async function schedulesPerSecond(
  scenario: Scenario,
  schedules: number,
  checker: CheckerMaker | undefined,
): Promise<number> {
  const before = process.cpuUsage();
  const report = await explore(scenario, {
    schedules,
    ...(checker === undefined ? {} : { checker }),
  });
  const { user, system } = process.cpuUsage(before);
  return report.schedules / ((user + system) / 1e6);
}

function example(name: string): Scenario {
  const found = EXAMPLES.find((each) => each.name === name);
  if (found === undefined) {
    throw new Error(`there is no example "${name}"`);
  }
  return found;
}
