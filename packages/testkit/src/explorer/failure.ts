/**
 * Failure: a failing run as small as it goes, with its token and its story.
 */

import type { Violation } from "../checker/violation.ts";
import type { FaultKind } from "../ground/fault-kind.ts";
import type { RunOutcome } from "./run-options.ts";
import type { Scenario } from "./scenario.ts";
import { shrink, trimmed } from "./shrink.ts";
import { storyOf } from "./story.ts";
import { writeToken } from "./token.ts";

export interface Failure {
  /** The rule that broke first. */
  readonly violation: Violation;
  /** Everything that broke in the smallest run. */
  readonly violations: readonly Violation[];
  /** Replays it. */
  readonly token: string;
  /** Numbered steps, for people. */
  readonly story: string;
  /** The smallest run, zeros at the end left out. */
  readonly choices: readonly number[];
  /** Faults in the smallest run. */
  readonly faults: readonly { readonly kind: FaultKind; readonly at: string }[];
  /** Turns of the run that was found, and of the smallest one. */
  readonly turnsFound: number;
  readonly turns: number;
}

/** Does the run of these choices, alone. */
export type Replayer = (choices: readonly number[], isTold: boolean) => Promise<RunOutcome>;

/** What was allowed when the run was found. */
export interface FaultAllowance {
  readonly faults: readonly FaultKind[];
  readonly faultsMax: number;
}

export async function failureOf(
  outcome: RunOutcome,
  scenario: Scenario,
  allowance: FaultAllowance,
  replay: Replayer,
): Promise<Failure> {
  const wanted = outcome.violations[0]?.rule;
  const stillFails = async (choices: readonly number[]): Promise<boolean> =>
    (await replay(choices, false)).violations[0]?.rule === wanted;
  const choices = await shrink(outcome.choices, stillFails);
  const told = await replay(choices, true);
  const isKept = told.violations[0]?.rule === wanted;
  return described(isKept ? told : outcome, isKept ? choices : outcome.choices, {
    scenario,
    allowance,
    turnsFound: outcome.turns,
  });
}

/** A failing run as it is. */
export function described(
  outcome: RunOutcome,
  choices: readonly number[],
  about: {
    readonly scenario: Scenario;
    readonly allowance: FaultAllowance;
    readonly turnsFound: number;
  },
): Failure {
  const { scenario, allowance, turnsFound } = about;
  return {
    violation: outcome.violations[0] as Violation,
    violations: outcome.violations,
    token: writeToken({ scenario: scenario.name, ...allowance, choices: trimmed(choices) }),
    story: storyOf(outcome),
    choices: trimmed(choices),
    faults: outcome.faults.map(({ kind, at }) => ({ kind, at })),
    turnsFound,
    turns: outcome.turns,
  };
}
