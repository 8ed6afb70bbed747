/**
 * Turns: one at a time, in the order in which they asked.
 *
 * Who gives up while waiting lets the next one pass.
 */
import { type WaitLimits, within } from "../sys/wait-limits.ts";

export class Turns {
  readonly #waiting = new Set<(turn: undefined) => void>();
  #isTaken = false;

  /** Whether somebody has the turn, or waits for it. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Runs `work` when it is its turn. `WAIT_TIMED_OUT` and `WAIT_INTERRUPTED` while it waits for that. */
  async take<T>(limits: WaitLimits, what: string, work: () => Promise<T>): Promise<T> {
    if (this.#isTaken) {
      await within<undefined>(limits, what, (resolve) => {
        this.#waiting.add(resolve);
        return { stop: () => this.#waiting.delete(resolve) };
      });
    }
    this.#isTaken = true;
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  /** The turn stays taken on its way to the next one, so that nobody slips in between. */
  #passOn(): void {
    const [next] = this.#waiting;
    this.#isTaken = next !== undefined;
    if (next !== undefined) {
      this.#waiting.delete(next);
      next(undefined);
    }
  }
}
