/**
 * PCT: probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).
 *
 * Everybody has a priority of its own, the highest that can goes on, and at `depth` - 1 turns chosen beforehand
 * whoever would go on falls to the bottom. Finds a bug that needs d turns in a certain order with a chance of at least
 * 1 in n k^(d-1), for n processes and k turns, which no other blind strategy promises.
 */
import { isFaultLabel } from "../ground/fault-kind.ts";
import { CALLS_PER_FAULT, TURNS_PER_FAULT } from "./random-walk.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { Strategy, Turn } from "./strategy.ts";

export interface PctOptions {
  readonly seed: number;
  /** How many turns must fall in a certain order for the bug to show; default 3. */
  readonly depth?: number;
  /** How long runs are thought to be, before the first has been seen; default 32. */
  readonly turnsExpected?: number;
  /** The number of the first run. */
  readonly first?: number;
}

export class Pct implements Strategy {
  readonly name = "pct";
  readonly #seed: number;
  readonly #depth: number;
  readonly #turnsExpected: number;
  #run: number;
  readonly #random: SeededRandom;
  /** By process id; higher goes first. */
  #priorities: number[] = [];
  #changes: number[] = [];
  #lowest = 0;

  constructor(options: PctOptions) {
    this.#seed = options.seed;
    this.#depth = options.depth ?? 3;
    this.#turnsExpected = options.turnsExpected ?? 32;
    this.#run = options.first ?? 0;
    this.#random = new SeededRandom(options.seed);
  }

  begin(): boolean {
    this.#random.begin(this.#seed + Math.imul(this.#run++, 0x9e37_79b1));
    this.#priorities = [];
    this.#lowest = 0;
    this.#changes = [];
    for (let change = 1; change < this.#depth; change++) {
      this.#changes.push(this.#random.below(this.#turnsExpected));
    }
    return true;
  }

  pick({ candidates, plainCount, index }: Turn): number {
    const faults = candidates.length - plainCount;
    if (faults > 0 && this.#random.below(TURNS_PER_FAULT) === 0) {
      return plainCount + this.#random.below(faults);
    }
    let best = this.#highest(candidates, plainCount);
    if (this.#changes.includes(index)) {
      this.#priorities[(candidates[best] as { id: number }).id] = --this.#lowest;
      best = this.#highest(candidates, plainCount);
    }
    return best;
  }

  choose(count: number, label: string): number {
    return isFaultLabel(label)
      ? Number(this.#random.below(CALLS_PER_FAULT) === 0)
      : this.#random.below(count);
  }

  #highest(candidates: Turn["candidates"], plainCount: number): number {
    let best = 0;
    for (let place = 0; place < plainCount; place++) {
      if (this.#priorityOf(candidates, place) > this.#priorityOf(candidates, best)) {
        best = place;
      }
    }
    return best;
  }

  #priorityOf(candidates: Turn["candidates"], place: number): number {
    const { id } = candidates[place] as { id: number };
    this.#priorities[id] ??= 1 + this.#random.below(2 ** 30);
    return this.#priorities[id] as number;
  }
}
