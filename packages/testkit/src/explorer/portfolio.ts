/**
 * Portfolio: several strategies that take runs in turn, because none of them is the best for every bug.
 */
import type { Strategy, Turn } from "./strategy.ts";

export class Portfolio implements Strategy {
  readonly name = "portfolio";
  readonly #strategies: readonly Strategy[];
  #run: number;

  /** At least one; all of them must be of the kind that never ends. */
  constructor(strategies: readonly Strategy[], first = 0) {
    this.#strategies = strategies;
    this.#run = first - 1;
  }

  begin(): boolean {
    this.#run++;
    // Each of them counts every run, so that a run depends on its number alone.
    return this.#strategies.map((strategy) => strategy.begin()).every(Boolean);
  }

  pick(turn: Turn): number {
    return this.#current.pick(turn);
  }

  choose(count: number, label: string): number {
    return this.#current.choose(count, label);
  }

  get #current(): Strategy {
    return this.#strategies[this.#run % this.#strategies.length] as Strategy;
  }
}
