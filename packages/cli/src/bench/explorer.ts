/**
 * Explorer: schedules a second of two importers that attach, map and read one buffer while it moves.
 *
 * The bar is for processor time of one core: another process on the same machine takes nothing away from them.
 */
import { EXAMPLES, explore, type Scenario } from "@peerbuf/testkit";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { medianOf } from "./measure.ts";

const SCHEDULES = 20_000;
const RATE_BAR = { value: ">= 20000" };

export const explorerRate: Bench = {
  name: "testkit.schedules",
  async run({ quick }): Promise<BenchResult> {
    const scenario = example("two-importers");
    const figures: number[] = [];
    for (let round = 0; round <= (quick ? 1 : 5); round++) {
      const figure = await schedulesPerSecond(scenario, quick ? 1_000 : SCHEDULES);
      if (round > 0) {
        figures.push(figure);
      }
    }
    const value = medianOf(figures);
    return {
      name: this.name,
      unit: "schedules/s",
      value: rounded(value),
      bar: RATE_BAR,
      ok: meets(RATE_BAR, value, undefined),
    };
  },
};

async function schedulesPerSecond(scenario: Scenario, schedules: number): Promise<number> {
  const before = process.cpuUsage();
  const report = await explore(scenario, { schedules });
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
