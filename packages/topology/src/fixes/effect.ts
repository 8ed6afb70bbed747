/**
 * Effect: what a change does to every ordered pair, by judging the machine before and after.
 *
 * Rows mean the same functions on both sides; a function that moved keeps its row and gets another BDF.
 * A pair of a function with itself is no pair.
 */
import type { PathType } from "@peerbuf/core";
import { PAIRS_LISTED_MAX } from "../diagnosis/finding.ts";
import { countsByType, eachVerdict, type PairScope } from "../diagnosis/pair-scope.ts";
import { type AllPairs, judgeAllPairs } from "../rules/all-pairs.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import { PATH_TYPES } from "../rules/through-root.ts";
import type { Topology } from "../topology.ts";
import type { Effect, PairChange } from "./fix.ts";

/** A machine and whose rules it is judged by. */
export interface Judged {
  readonly topology: Topology;
  readonly rules: KernelRules;
}

/** The higher, the better; `unknown` is worse than a way that works and better than a refusal. */
export const WORTH: Readonly<Record<PathType, number>> = {
  "bus-addr": 3,
  "host-bridge": 2,
  unknown: 1,
  unsupported: 0,
};

export function effectOf(one: Judged, other: Judged, scope: PairScope): Effect {
  const [old, fresh] = [one, other].map(({ topology, rules }) =>
    judgeAllPairs(topology, rules, scope.rows),
  ) as [AllPairs, AllPairs];
  const changes: PairChange[] = [];
  const counts = { changed: 0, improved: 0, worsened: 0 };
  const totalsBefore = new Float64Array(PATH_TYPES.length);
  const totalsAfter = new Float64Array(PATH_TYPES.length);
  eachVerdict(scope, old, (provider, client, before) => {
    const after = fresh.typeNumberAt(fresh.positionOf(provider), fresh.positionOf(client));
    totalsBefore[before] = (totalsBefore[before] as number) + 1;
    totalsAfter[after] = (totalsAfter[after] as number) + 1;
    if (before === after) {
      return;
    }
    const [was, is] = [PATH_TYPES[before], PATH_TYPES[after]] as [PathType, PathType];
    counts.changed += 1;
    counts[WORTH[is] > WORTH[was] ? "improved" : "worsened"] += 1;
    if (changes.length < PAIRS_LISTED_MAX) {
      const [from, to] = [provider, client].map((row) => one.topology.bdfOf(row));
      changes.push({ provider: from as string, client: to as string, before: was, after: is });
    }
  });
  return {
    changes,
    changedCount: counts.changed,
    improvedCount: counts.improved,
    worsenedCount: counts.worsened,
    before: countsByType(totalsBefore),
    after: countsByType(totalsAfter),
  };
}
