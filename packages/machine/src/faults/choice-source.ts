/**
 * Choice source: the one place where faults get their decisions from.
 *
 * Whatever is not fixed by a rule is a question with a number of answers: does it happen here, which byte
 * is changed, how. A seed answers, or a list of answers taken down before, or an explorer that wants to see
 * every answer once. The same answers on the same machine give the same run.
 */
import { PeerbufError } from "@peerbuf/core";
import { Random } from "../random.ts";

/** One question. */
export interface Choice {
  /** What hangs on it: whether a fault `happens`, or which of several `details` it takes. */
  readonly about: "happens" | "detail";
  /** For people: the fault and the device. */
  readonly fault: string;
  readonly device: string;
  /** Answers are whole numbers from 0 to `count` - 1. For `happens` 0 is no and 1 is yes. */
  readonly count: number;
  /** Of a yes, from 0 to 1; a source that looks at every answer has no use for it. */
  readonly probability?: number;
}

export interface ChoiceSource {
  choose(choice: Choice): number;
}

/** Answers from a seed. */
export class SeededChoices implements ChoiceSource {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  choose({ count, probability }: Choice): number {
    if (probability === undefined) {
      return this.#random.below(count);
    }
    return this.#random.below(2 ** 32) < probability * 2 ** 32 ? 1 : 0;
  }
}

/** Answers kept by a recording. */
export const ANSWERS_KEPT_MAX = 1_000_000;

/** Passes questions on and takes the answers down. */
export class RecordedChoices implements ChoiceSource {
  readonly #inner: ChoiceSource;
  readonly #answers: number[] = [];

  constructor(inner: ChoiceSource) {
    this.#inner = inner;
  }

  get answers(): readonly number[] {
    return this.#answers;
  }

  /** `MEMORY_EXHAUSTED` after `ANSWERS_KEPT_MAX` answers. */
  choose(choice: Choice): number {
    if (this.#answers.length === ANSWERS_KEPT_MAX) {
      const text = `${ANSWERS_KEPT_MAX} answers are taken down: the limit of a recording`;
      throw new PeerbufError("MEMORY_EXHAUSTED", text);
    }
    const answer = this.#inner.choose(choice);
    this.#answers.push(answer);
    return answer;
  }
}

/** Gives the answers of a recording again, in order; what goes beyond it is answered with 0: no fault. */
export class ReplayedChoices implements ChoiceSource {
  readonly #answers: readonly number[];
  #at = 0;

  constructor(answers: readonly number[]) {
    this.#answers = answers;
  }

  /** `ARGUMENT_INVALID` when the answer does not fit the question: another run than the recorded one. */
  choose({ count, fault, device }: Choice): number {
    const answer = this.#answers[this.#at++] ?? 0;
    if (!(Number.isInteger(answer) && answer >= 0 && answer < count)) {
      const what = `answer ${this.#at} is ${answer}, ${fault} at ${device} has ${count}`;
      throw new PeerbufError("ARGUMENT_INVALID", `${what}: this is not the run that was recorded`);
    }
    return answer;
  }
}
