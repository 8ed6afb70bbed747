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
import type { CheckerMaker } from "../explorer/run-options.ts";
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
/** A campaign has at most so many shares; those of a long one are larger. */
export const SHARES_MAX = 4_096;

/** Exhaustive search goes on where it was, so it is one share. */
export function sharesOf(
  { schedules, strategy }: Campaign,
  shareSchedules: number = SHARE_SCHEDULES,
): Share[] {
  if (strategy === "exhaustive") {
    return [{ first: 0, schedules }];
  }
  const size = Math.max(1, shareSchedules, Math.ceil(schedules / SHARES_MAX));
  const shares: Share[] = [];
  for (let first = 0; first < schedules; first += size) {
    shares.push({ first, schedules: Math.min(size, schedules - first) });
  }
  return shares;
}

export interface ShareOptions {
  readonly onProgress?: (progress: ExploreProgress) => void;
  /** Ends the share early; its report is of what was done. */
  readonly signal?: AbortSignal;
}

/** Does a share, in this thread. `ARGUMENT_INVALID` for a source that has no such function or scenario. */
export async function runShare(
  campaign: Campaign,
  share: Share,
  wishes: ShareOptions = {},
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
    ...wishes,
    ...(checker === undefined ? {} : { checker }),
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

/** A share that ends its campaign, unless that goes on. */
export const isLast = ({ failure, nondeterminism }: ShareReport): boolean =>
  failure !== undefined || nondeterminism !== undefined;

/**
 * The whole of these shares, in whatever order they came.
 *
 * Of a campaign that ends with its first failure, what other hands did beyond it meanwhile does not count: the
 * report is the one that a single hand would have given.
 */
export function mergeShares(
  reports: readonly ShareReport[],
  { goesOn = false }: Pick<Campaign, "goesOn"> = {},
): ExploreReport {
  const ordered = [...reports].sort((one, other) => one.first - other.first);
  const end = goesOn ? -1 : ordered.findIndex(isLast);
  const counted = end < 0 ? ordered : ordered.slice(0, end + 1);
  const [first] = counted;
  if (first === undefined) {
    throw new PeerbufError("ARGUMENT_INVALID", "a campaign without shares has no report");
  }
  const failed = counted.find(({ failure }) => failure !== undefined);
  return {
    scenario: first.scenario,
    strategy: first.strategy,
    seed: first.seed,
    schedules: sum(counted, ({ schedules }) => schedules),
    cut: sum(counted, ({ cut }) => cut),
    failures: sum(counted, ({ failures }) => failures),
    failure: failed?.failure,
    failureAt: failed?.failureAt,
    hash: counted.reduce((hash, report) => combined(hash, report.hash), 0),
    isComplete: counted.length === 1 && first.isComplete,
    transitions: transitionsOf(counted),
    faults: faultsOf(counted),
    nondeterminism: counted.find((each) => each.nondeterminism !== undefined)?.nondeterminism,
  };
}

function transitionsOf(reports: readonly ShareReport[]): TransitionCounts {
  const whole = new TransitionCounts();
  for (const { transitions } of reports) {
    whole.add(new TransitionCounts(Float64Array.from(transitions)));
  }
  return whole;
}

function faultsOf(reports: readonly ShareReport[]): Record<string, number> {
  const whole: Record<string, number> = {};
  for (const { faults } of reports) {
    for (const [kind, count] of Object.entries(faults)) {
      whole[kind] = (whole[kind] ?? 0) + count;
    }
  }
  return whole;
}

const sum = (reports: readonly ShareReport[], of: (report: ShareReport) => number): number =>
  reports.reduce((total, report) => total + of(report), 0);
