/**
 * Strategy names: what users call the ways to search, and what each is made of.
 */
import { PeerbufError } from "@peerbuf/core";
import { exhaustiveSearch } from "./exhaustive.ts";
import { Pct } from "./pct.ts";
import { Portfolio } from "./portfolio.ts";
import { RandomWalk } from "./random-walk.ts";
import type { Strategy } from "./strategy.ts";

export const STRATEGY_NAMES = ["random", "pct", "exhaustive", "portfolio"] as const;

export type StrategyName = (typeof STRATEGY_NAMES)[number];

export interface StrategyWishes {
  readonly strategy?: StrategyName;
  readonly seed?: number;
  readonly first?: number;
  readonly reduction?: boolean;
  readonly preemptionsMax?: number;
  readonly depth?: number;
}

/** `ARGUMENT_INVALID` for a name that is none. */
export function strategyOf(wishes: StrategyWishes): Strategy {
  const { strategy = "random", seed = 1, first = 0 } = wishes;
  const pct = (depth = wishes.depth): Pct =>
    new Pct({ seed, first, ...(depth === undefined ? {} : { depth }) });
  switch (strategy) {
    case "random":
      return new RandomWalk(seed, first);
    case "pct":
      return pct();
    case "exhaustive":
      return exhaustiveSearch(wishes);
    case "portfolio":
      return new Portfolio([new RandomWalk(seed, first), pct(2), pct(3), pct(5)], first);
    default:
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `"${String(strategy)}" is no strategy: ${STRATEGY_NAMES.join(", ")}`,
      );
  }
}
