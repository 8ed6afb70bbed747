/**
 * Replay: does a failing run again from its token, and tells it.
 */
import { InputError } from "@peerbuf/core";
import type { Violation } from "../checker/violation.ts";
import type { StoryLine } from "../ground/world-options.ts";
import { firstDifference, type Nondeterminism } from "./nondeterminism.ts";
import { ReplayChoices } from "./replay-choices.ts";
import { executeRun } from "./run.ts";
import type { CheckerMaker, RunOutcome } from "./run-options.ts";
import type { Scenario } from "./scenario.ts";
import { storyOf } from "./story.ts";
import { readToken } from "./token.ts";

export interface ReplayReport {
  readonly scenario: string;
  readonly violations: readonly Violation[];
  readonly story: string;
  readonly lines: readonly StoryLine[];
  /** 32 bits over every turn, answer and line: equal wherever the run is the same. */
  readonly hash: number;
  readonly nondeterminism: Nondeterminism | undefined;
}

/** `scenarios`: the one the token names is looked up by its name. `InputError` for a token that fits none. */
export async function replay(
  scenarios: readonly Scenario[],
  token: string,
  options: { readonly checker?: CheckerMaker } = {},
): Promise<ReplayReport> {
  const { scenario: name, choices, faults, faultsMax } = readToken(token);
  const scenario = scenarios.find((each) => each.name === name);
  if (scenario === undefined) {
    const names = scenarios.map((each) => each.name).join(", ");
    throw new InputError({
      source: token,
      cause: `there is no scenario "${name}" here: ${names}`,
      remedy: "Replay it with the driver that it was found with",
    });
  }
  const run = async (again: readonly number[], isTold: boolean): Promise<RunOutcome> =>
    executeRun({
      ...options,
      scenario,
      strategy: new ReplayChoices(again),
      isTold,
      ...(faults.length === 0 ? {} : { faults, faultsMax }),
    });
  const outcome = await run(choices, true);
  const again = await run(choices, true);
  return {
    scenario: name,
    violations: outcome.violations,
    story: storyOf(outcome),
    lines: outcome.story,
    hash: outcome.hash,
    nondeterminism: again.hash === outcome.hash ? undefined : await firstDifference(choices, run),
  };
}
