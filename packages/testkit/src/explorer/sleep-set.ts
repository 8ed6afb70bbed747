/**
 * Sleep set: whose turn need not be tried in a place, because all that follows from it has been seen.
 *
 * Whoever has been given a turn in a place sleeps while turns are taken there that commute with it, and wakes at the first
 * that does not (Godefroid, LNCS 1032, 1996). A turn whose questions were answered differently (a fault, a size) is
 * another turn: each variant sleeps for itself.
 */
import type { Touched } from "../ground/touches.ts";
import { clashing } from "./happens-before.ts";

/** A turn with its answers, as it was taken once. */
export interface Variant {
  readonly answers: string;
  readonly touched: Touched;
}

interface Sleeper {
  readonly variants: readonly Variant[];
  /** All variants that there are. */
  readonly isWhole: boolean;
}

export class SleepSet {
  readonly #sleepers = new Map<number, Sleeper>();

  /** Whatever is answered, this process's turn is known. */
  has(id: number): boolean {
    return this.#sleepers.get(id)?.isWhole === true;
  }

  /** This turn with these answers is known. */
  hasVariant(id: number, answers: string): boolean {
    return this.#sleepers.get(id)?.variants.some((known) => known.answers === answers) === true;
  }

  /** Who still sleeps after a turn of `id` that touched this; `tried`: what was tried in the same place before. */
  after(id: number, touched: Touched, tried: ReadonlyMap<number, readonly Variant[]>): SleepSet {
    const next = new SleepSet();
    for (const [other, { variants, isWhole }] of this.#sleepers) {
      if (other !== id && !tried.has(other)) {
        next.#keep(other, variants, isWhole, touched);
      }
    }
    for (const [other, variants] of tried) {
      if (other !== id) {
        next.#keep(other, variants, true, touched);
      }
    }
    return next;
  }

  #keep(id: number, variants: readonly Variant[], isWhole: boolean, touched: Touched): void {
    const still = variants.filter((variant) => !clashing(variant.touched, touched));
    if (still.length > 0) {
      const isStillWhole = isWhole && still.length === variants.length;
      this.#sleepers.set(id, { variants: still, isWhole: isStillWhole });
    }
  }
}
