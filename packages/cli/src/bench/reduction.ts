/**
 * Reduction: what partial-order reduction saves of an exhaustive search, for each of the kit's examples.
 *
 * Counts, no times. The reduced search sees all schedules up to the order of turns that commute; the plain one, which would
 * not come to an end, only those with up to two preemptions. Runs that the reduced search gives up on the way count as well.
 */
import { EXAMPLES, explore, type Scenario } from "@peerbuf/testkit";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";

const BAR = { ratio: ">= 10" };
const PREEMPTIONS_MAX = 2;
const SCHEDULES_MAX = 100_000;

export const explorerReductions: readonly Bench[] = EXAMPLES.map((example) => ({
  name: `testkit.reduction-${example.name}`,
  run: () => measured(`testkit.reduction-${example.name}`, example),
}));

async function measured(name: string, example: Scenario): Promise<BenchResult> {
  const options = { strategy: "exhaustive", schedules: SCHEDULES_MAX } as const;
  const bounded = { ...options, preemptionsMax: PREEMPTIONS_MAX };
  const plain = await explore(example, { ...bounded, reduction: false });
  const reduced = await explore(example, options);
  const value = reduced.schedules + reduced.cut;
  const ratio = plain.schedules / value;
  return {
    name,
    unit: "schedules",
    value,
    baseline: { name: "plain search, up to two preemptions", value: plain.schedules },
    ratio: rounded(ratio),
    bar: BAR,
    ok: plain.isComplete && reduced.isComplete && meets(BAR, value, ratio),
  };
}
