/**
 * Run options: what a run is made of, and what is known of it when it is over.
 */
import type { Violation } from "../checker/violation.ts";
import type { FaultKind } from "../ground/fault-kind.ts";
import type { TransitionCounts } from "../ground/transition.ts";
import type { World } from "../ground/world.ts";
import type { RunChecker, StoryLine } from "../ground/world-options.ts";
import type { Scenario } from "./scenario.ts";
import type { Strategy } from "./strategy.ts";

export interface RunOptions {
  readonly scenario: Scenario;
  readonly strategy: Strategy;
  readonly faults?: readonly FaultKind[] | undefined;
  readonly faultsMax?: number | undefined;
  readonly counts?: TransitionCounts | undefined;
  readonly subjects?: Map<string, number>;
  /** Made anew for each run. */
  readonly checker?: CheckerMaker | undefined;
  readonly isTold?: boolean;
  /** Turns of the safety phase; default 400. */
  readonly turnsMax?: number;
}

/** A checker that can also be asked at the end. */
export interface ExplorerChecker extends RunChecker {
  readonly violations: readonly Violation[];
  finish(): unknown;
}

/** Makes the checker of a run; `createChecker` is one. */
export type CheckerMaker = (options: { step(): number }) => ExplorerChecker;

/** What one run was. */
export interface RunOutcome {
  /** All answers in order: the run itself. */
  readonly choices: readonly number[];
  /** Broken rules, the first one first. */
  readonly violations: readonly Violation[];
  readonly faults: World["faults"];
  readonly story: readonly StoryLine[];
  /** 32 bits over all turns and answers, and over the story when it is told. */
  readonly hash: number;
  readonly turns: number;
  /** The strategy knew the rest already. */
  readonly isCut: boolean;
}
