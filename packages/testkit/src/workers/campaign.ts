/**
 * Campaign: an exploration as plain data, so that it can be cut into shares and sent to other threads and machines.
 *
 * A run depends on the seed and its number alone. So a campaign of shares does the same runs as one in one piece, however
 * many hands do it, and a share that was lost with its worker can simply be done again.
 */
import { PeerbufError } from "@peerbuf/core";
import {
  combined,
  type ExploreOptions,
  type ExploreProgress,
  type ExploreReport,
  explore,
} from "../explorer/explore.ts";
import type { CheckerMaker } from "../explorer/run.ts";
import type { Scenario } from "../explorer/scenario.ts";
import { TransitionCounts } from "../ground/transition.ts";

/** Where a worker finds the scenarios: it imports the module and calls the function with the data. */
export interface ScenarioSource {
  /** URL of a JavaScript module, as `import.meta.resolve` gives it. */
  readonly module: string;
  /** The name of an export: `(data) => ScenarioSet` or a promise of one. */
  readonly name: string;
  /** Anything that can be sent to another thread; for a queue, anything that JSON can say. */
  readonly data?: unknown;
}

/** What the function of a source gives. */
export interface ScenarioSet {
  readonly scenarios: readonly Scenario[];
  readonly checker?: CheckerMaker;
}

/** Plain data. */
export interface Campaign
  extends Pick<
    ExploreOptions,
    "strategy" | "seed" | "depth" | "faults" | "faultsMax" | "goesOn" | "checkedEvery"
  > {
  readonly source: ScenarioSource;
  /** Which of the source's scenarios. */
  readonly scenario: string;
  readonly schedules: number;
}

/** Runs `first` to `first + schedules - 1` of a campaign. */
export interface Share {
  readonly first: number;
  readonly schedules: number;
}

/** A report as plain data. */
export interface ShareReport extends Omit<ExploreReport, "transitions"> {
  readonly first: number;
  readonly transitions: readonly number[];
}

/** Schedules in a share: large enough to be worth sending, small enough to be done again. */
export const SHARE_SCHEDULES = 2_000;

/** `ARGUMENT_INVALID`: exhaustive search goes on where it was, so it cannot be shared out. */
export function sharesOf(
  { schedules, strategy }: Campaign,
  shareSchedules: number = SHARE_SCHEDULES,
): Share[] {
  if (strategy === "exhaustive") {
    const message = "exhaustive search cannot be shared out: use random, pct or portfolio";
    throw new PeerbufError("ARGUMENT_INVALID", message);
  }
  const shares: Share[] = [];
  for (let first = 0; first < schedules; first += shareSchedules) {
    shares.push({ first, schedules: Math.min(shareSchedules, schedules - first) });
  }
  return shares;
}

/** Does a share, in this thread. */
export async function runShare(
  campaign: Campaign,
  share: Share,
  onProgress?: (progress: ExploreProgress) => void,
): Promise<ShareReport> {
  const { source, scenario: name, ...options } = campaign;
  const { scenarios, checker } = await loadScenarios(source);
  const scenario = scenarios.find((each) => each.name === name);
  if (scenario === undefined) {
    const names = scenarios.map((each) => each.name).join(", ");
    throw new PeerbufError("ARGUMENT_INVALID", `there is no scenario "${name}": ${names}`);
  }
  const { transitions, ...report } = await explore(scenario, {
    ...options,
    ...share,
    ...(checker === undefined ? {} : { checker }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  return { ...report, first: share.first, transitions: [...transitions.table] };
}

async function loadScenarios({ module, name, data }: ScenarioSource): Promise<ScenarioSet> {
  const found = ((await import(module)) as Record<string, unknown>)[name];
  if (typeof found !== "function") {
    throw new PeerbufError("ARGUMENT_INVALID", `${module} exports no function "${name}"`);
  }
  return (await found(data)) as ScenarioSet;
}

/** The whole of these shares, in whatever order they came. */
export function mergeShares(reports: readonly ShareReport[]): ExploreReport {
  const [first] = reports;
  if (first === undefined) {
    throw new PeerbufError("ARGUMENT_INVALID", "a campaign without shares has no report");
  }
  const transitions = new TransitionCounts();
  const faults: Record<string, number> = {};
  let hash = 0;
  for (const report of reports) {
    transitions.add(new TransitionCounts(Float64Array.from(report.transitions)));
    hash = combined(hash, report.hash);
    for (const [kind, count] of Object.entries(report.faults)) {
      faults[kind] = (faults[kind] ?? 0) + count;
    }
  }
  const ordered = [...reports].sort((one, other) => one.first - other.first);
  const failed = ordered.find(({ failure }) => failure !== undefined);
  return {
    scenario: first.scenario,
    strategy: first.strategy,
    seed: first.seed,
    schedules: sum(reports, ({ schedules }) => schedules),
    cut: sum(reports, ({ cut }) => cut),
    failures: sum(reports, ({ failures }) => failures),
    failure: failed?.failure,
    failureAt: failed?.failureAt,
    hash,
    isComplete: false,
    transitions,
    faults,
    nondeterminism: ordered.find((each) => each.nondeterminism !== undefined)?.nondeterminism,
  };
}

const sum = (reports: readonly ShareReport[], of: (report: ShareReport) => number): number =>
  reports.reduce((total, report) => total + of(report), 0);
