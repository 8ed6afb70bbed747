/**
 * Random walk: every turn goes to anybody with the same chance. Blunt, quick, and hard to fool.
 */
import { isFaultLabel } from "../ground/fault-kind.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { Strategy, Turn } from "./strategy.ts";

/** One turn in so many is a fault, as long as there are any. */
export const TURNS_PER_FAULT = 12;
/** One call in so many fails, where it may. */
export const CALLS_PER_FAULT = 6;

export class RandomWalk implements Strategy {
  readonly name = "random";
  readonly #seed: number;
  #run = 0;
  readonly #random: SeededRandom;

  /** Run number `first` and those after it: a run depends on its number and the seed alone. */
  constructor(seed: number, first = 0) {
    this.#seed = seed;
    this.#run = first;
    this.#random = new SeededRandom(seed);
  }

  begin(): boolean {
    this.#random.begin(this.#seed + Math.imul(this.#run++, 0x9e37_79b1));
    return true;
  }

  pick({ candidates, plainCount }: Turn): number {
    const faults = candidates.length - plainCount;
    if (faults > 0 && this.#random.below(TURNS_PER_FAULT) === 0) {
      return plainCount + this.#random.below(faults);
    }
    return this.#random.below(plainCount);
  }

  choose(count: number, label: string): number {
    return isFaultLabel(label)
      ? Number(this.#random.below(CALLS_PER_FAULT) === 0)
      : this.#random.below(count);
  }
}
