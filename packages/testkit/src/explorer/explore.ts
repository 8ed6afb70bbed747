/**
 * Explore: runs schedule after schedule of a scenario until a rule breaks, the allowance is used up, or all are known.
 *
 * The first failing run is shrunk and told. Every so often a run is done twice: if its traces differ, something in it does
 * not come from decisions, and nothing else that was found can be trusted.
 */
import { PeerbufError } from "@peerbuf/core";
import type { FaultKind } from "../ground/fault-kind.ts";
import { TransitionCounts } from "../ground/transition.ts";
import { type Failure, failureOf, type Replayer } from "./failure.ts";
import { firstDifference, type Nondeterminism } from "./nondeterminism.ts";
import { ReplayChoices } from "./replay-choices.ts";
import { executeRun } from "./run.ts";
import type { CheckerMaker, RunOptions, RunOutcome } from "./run-options.ts";
import type { Scenario } from "./scenario.ts";
import type { Strategy } from "./strategy.ts";
import { type StrategyName, strategyOf } from "./strategy-names.ts";

export interface ExploreOptions {
  /** Default `random`. */
  readonly strategy?: StrategyName;
  /** At most so many; default 10,000. */
  readonly schedules?: number;
  /** Default 1. Exhaustive search needs none. */
  readonly seed?: number;
  /** The number of the first schedule, for a share of a campaign; default 0. */
  readonly first?: number;
  /** Exhaustive only: no schedule that differs from a known one in the order of steps that commute. Default `true`. */
  readonly reduction?: boolean;
  /** Exhaustive only: at most so many turns taken away from somebody who could have gone on. */
  readonly preemptionsMax?: number;
  /** PCT only. */
  readonly depth?: number;
  /** Which faults may happen; default none. */
  readonly faults?: readonly FaultKind[];
  /** How many in one run; default 1. */
  readonly faultsMax?: number;
  /** Watches every run; made anew for each. */
  readonly checker?: CheckerMaker;
  /** Goes on after a failure, to count them; the first is still the one that is told. */
  readonly goesOn?: boolean;
  /** Runs done twice: the first, and one in so many; default 1,000. */
  readonly checkedEvery?: number;
  /** Called every few hundred runs, and more often where runs are long; also while a failing run is made smaller. */
  readonly onProgress?: (progress: ExploreProgress) => void;
  /** Ends the campaign after the run that is under way. */
  readonly signal?: AbortSignal;
}

export interface ExploreProgress {
  readonly schedules: number;
  readonly ofSchedules: number;
  readonly failures: number;
}

export interface ExploreReport {
  readonly scenario: string;
  readonly strategy: string;
  readonly seed: number;
  /** Runs from beginning to end. */
  readonly schedules: number;
  /** Runs given up because the rest of them was known. */
  readonly cut: number;
  /** Failing runs; more than 1 only with `goesOn`. */
  readonly failures: number;
  /** The first failing run, shrunk. */
  readonly failure: Failure | undefined;
  /** The number of the run that failed first, counted over the whole campaign. */
  readonly failureAt: number | undefined;
  /** 32 bits over all runs: equal wherever the same runs were done. */
  readonly hash: number;
  /** Exhaustive: every schedule was seen. */
  readonly isComplete: boolean;
  readonly transitions: TransitionCounts;
  /** Faults that happened, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  readonly nondeterminism: Nondeterminism | undefined;
}

/** Progress is told after so many runs or turns, whichever comes first. */
const PROGRESS_RUNS = 512;
const PROGRESS_TURNS = 8_192;

export async function explore(
  scenario: Scenario,
  options: ExploreOptions = {},
): Promise<ExploreReport> {
  const exploration = new Exploration(scenario, options);
  await exploration.run();
  return exploration.report();
}

class Exploration {
  readonly #scenario: Scenario;
  readonly #options: ExploreOptions;
  readonly #strategy: Strategy;
  readonly #ofSchedules: number;
  readonly #counts = new TransitionCounts();
  readonly #subjects = new Map<string, number>();
  readonly #faults: Record<string, number> = {};
  #schedules = 0;
  #cut = 0;
  #failures = 0;
  #failure: Failure | undefined;
  #nondeterminism: Nondeterminism | undefined;
  #isComplete = false;
  #failureAt: number | undefined;
  #hash = 0;
  /** Since progress was told last. */
  #runsUntold = 0;
  #turnsUntold = 0;
  readonly #plainRun: RunOptions;

  constructor(scenario: Scenario, options: ExploreOptions) {
    this.#scenario = scenario;
    this.#options = options;
    this.#ofSchedules = options.schedules ?? 10_000;
    if (!(Number.isSafeInteger(this.#ofSchedules) && this.#ofSchedules > 0)) {
      const message = `${this.#ofSchedules} schedules: a whole number of at least 1 is possible`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    this.#strategy = strategyOf(options);
    const { faults, faultsMax, checker } = options;
    this.#plainRun = {
      scenario,
      strategy: this.#strategy,
      subjects: this.#subjects,
      counts: this.#counts,
      faults,
      faultsMax,
      checker,
    };
  }

  async run(): Promise<void> {
    while (!this.#isOver()) {
      if (!this.#strategy.begin()) {
        this.#isComplete = true;
        return;
      }
      const run = executeRun(this.#plainRun);
      const outcome = run instanceof Promise ? await run : run;
      if (this.#heed(outcome)) {
        await this.#look(outcome);
      }
      if (this.#isProgressDue(outcome.turns)) {
        await this.#progress();
      }
    }
  }

  report(): ExploreReport {
    return {
      scenario: this.#scenario.name,
      strategy: this.#strategy.name,
      seed: this.#options.seed ?? 1,
      schedules: this.#schedules,
      cut: this.#cut,
      failures: this.#failures,
      failure: this.#failure,
      failureAt: this.#failureAt,
      hash: this.#hash >>> 0,
      isComplete: this.#isComplete,
      transitions: this.#counts,
      faults: this.#faults,
      nondeterminism: this.#nondeterminism,
    };
  }

  #isOver(): boolean {
    const { signal, goesOn = false } = this.#options;
    return (
      this.#schedules + this.#cut >= this.#ofSchedules ||
      signal?.aborted === true ||
      this.#nondeterminism !== undefined ||
      (this.#failure !== undefined && !goesOn)
    );
  }

  /** Counts it. `true`: it is worth another look. */
  #heed(outcome: RunOutcome): boolean {
    if (outcome.isCut) {
      this.#cut++;
      return false;
    }
    this.#hash = combined(this.#hash, outcome.hash);
    for (const { kind } of outcome.faults) {
      this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
    }
    const every = this.#options.checkedEvery ?? 1_000;
    return this.#schedules++ % every === 0 || outcome.violations.length > 0;
  }

  async #look(outcome: RunOutcome): Promise<void> {
    const every = this.#options.checkedEvery ?? 1_000;
    if ((this.#schedules - 1) % every === 0 || this.#isFirstFailure(outcome)) {
      await this.#checkTwice(outcome);
    }
    if (outcome.violations.length > 0) {
      const isFirst = this.#failures++ === 0;
      this.#failureAt ??= (this.#options.first ?? 0) + this.#schedules - 1;
      if (isFirst && this.#nondeterminism === undefined) {
        this.#failure = await failureOf(
          outcome,
          this.#scenario,
          { faults: this.#options.faults ?? [], faultsMax: this.#options.faultsMax ?? 1 },
          this.#replayer(),
        );
      }
    }
  }

  #isFirstFailure({ violations }: RunOutcome): boolean {
    return violations.length > 0 && this.#failures === 0;
  }

  async #checkTwice(outcome: RunOutcome): Promise<void> {
    const again = await this.#again(outcome.choices);
    if (again.hash !== outcome.hash) {
      this.#nondeterminism = await firstDifference(outcome.choices, this.#replayer());
    }
  }

  #replayer(): Replayer {
    return async (choices, isTold) => {
      const outcome = await this.#again(choices, isTold);
      if (this.#isProgressDue(outcome.turns)) {
        await this.#progress();
      }
      return outcome;
    };
  }

  /** The same run again: it counts for nothing. */
  #again(choices: readonly number[], isTold = false): RunOutcome | Promise<RunOutcome> {
    const strategy = new ReplayChoices(choices);
    return executeRun({ ...this.#plainRun, strategy, counts: undefined, isTold });
  }

  #isProgressDue(turns: number): boolean {
    this.#runsUntold++;
    this.#turnsUntold += turns;
    return this.#runsUntold >= PROGRESS_RUNS || this.#turnsUntold >= PROGRESS_TURNS;
  }

  /** Lets other tasks of the process have a turn as well. */
  async #progress(): Promise<void> {
    this.#runsUntold = 0;
    this.#turnsUntold = 0;
    this.#options.onProgress?.({
      schedules: this.#schedules,
      ofSchedules: this.#ofSchedules,
      failures: this.#failures,
    });
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Of two parts of a campaign, in either order: shares are put together as they come. */
export const combined = (hash: number, other: number): number => (hash + other) >>> 0;
