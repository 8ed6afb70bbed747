/**
 * Replay: gives the answers of an earlier run again, in order; beyond them, and where one does not fit, 0.
 *
 * An answer that does not fit its question is remembered: it is normal while a case is being shrunk, and a sign of
 * nondeterminism when a case is replayed as it was.
 */
import type { Strategy, Turn } from "./strategy.ts";

export class ReplayChoices implements Strategy {
  readonly name = "replay";
  readonly #choices: readonly number[];
  #at = 0;
  #misfits = 0;
  #begun = false;

  constructor(choices: readonly number[]) {
    this.#choices = choices;
  }

  /** Answers that did not fit their questions. */
  get misfits(): number {
    return this.#misfits;
  }

  /** There is one run. */
  begin(): boolean {
    const isFirst = !this.#begun;
    this.#begun = true;
    return isFirst;
  }

  pick({ candidates }: Turn): number {
    return this.#next(candidates.length);
  }

  choose(count: number): number {
    return this.#next(count);
  }

  #next(count: number): number {
    const choice = this.#choices[this.#at++] ?? 0;
    if (choice < count) {
      return choice;
    }
    this.#misfits++;
    return 0;
  }
}
