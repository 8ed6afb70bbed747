/**
 * Nondeterminism: a run that does not come out the same when it is done again.
 *
 * Something asks the clock of the process, a random generator, the order of a set of objects, or keeps state from one run to
 * the next. The first line in which two tellings differ names who it was.
 */
import type { StoryLine } from "../ground/world-options.ts";
import type { RunOutcome } from "./run-options.ts";

export interface Nondeterminism {
  /** One sentence. */
  readonly text: string;
  readonly step: number;
  readonly actor: string;
  /** What the same step said on two tellings; `undefined`: nothing any more. */
  readonly one: string | undefined;
  readonly other: string | undefined;
}

/** Tells the same choices up to four times and looks for the first difference. */
export async function firstDifference(
  choices: readonly number[],
  replay: (choices: readonly number[], isTold: boolean) => Promise<RunOutcome>,
): Promise<Nondeterminism> {
  const first = (await replay(choices, true)).story;
  for (let again = 0; again < 3; again++) {
    const other = (await replay(choices, true)).story;
    const place = first.findIndex((line, at) => !isSame(line, other[at]));
    const at = place < 0 && other.length > first.length ? first.length : place;
    if (at >= 0) {
      return found(first[at], other[at]);
    }
  }
  const text = "the same choices led to another run once, and not again: something outlives a run";
  return { text, step: 0, actor: "", one: undefined, other: undefined };
}

function found(one: StoryLine | undefined, other: StoryLine | undefined): Nondeterminism {
  const { step = 0, actor = "" } = one ?? other ?? {};
  const text = `step ${step}, ${actor}: the same choices lead to another step; it reads a clock, a random number or what an earlier run has left`;
  return { text, step, actor, one: one?.text, other: other?.text };
}

const isSame = (one: StoryLine, other: StoryLine | undefined): boolean =>
  other !== undefined &&
  one.step === other.step &&
  one.actor === other.actor &&
  one.text === other.text;
