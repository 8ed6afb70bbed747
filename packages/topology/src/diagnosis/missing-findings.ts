/**
 * Missing findings: pairs that are not decided, and which facts would decide them.
 *
 * A capture whose ACS could not be read never comes out "fine".
 */
import { captureFacts } from "../fixes/advice.ts";
import type { AllPairs } from "../rules/all-pairs.ts";
import type { HangFact } from "../rules/hangs-on.ts";
import { judgePair } from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import type { Finding } from "./finding.ts";
import { PairList } from "./pair-list.ts";
import { eachPair, type PairScope, typeOf } from "./pair-scope.ts";

/** Pairs looked into for what they hang on, at most: their causes repeat. */
const PAIRS_ASKED_MAX = 256;
/** Places named for one fact in the text, at most; `at` has all of those found. */
const PLACES_SHOWN_MAX = 4;

export function missingFindings(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
  pairs: AllPairs,
): Finding[] {
  const list = new PairList(topology);
  const placesByFact = new Map<HangFact, Set<string>>();
  eachPair(scope, (provider, client) => {
    if (typeOf(pairs, provider, client) !== "unknown") {
      return;
    }
    list.add(provider, client);
    if (list.count > PAIRS_ASKED_MAX) {
      return;
    }
    for (const { fact, at } of judgePair(topology, rules, provider, client).hangsOn) {
      const places = placesByFact.get(fact) ?? new Set();
      placesByFact.set(fact, places);
      if (at !== undefined) {
        places.add(at);
      }
    }
  });
  if (list.count === 0) {
    return [];
  }
  const fix = captureFacts(placesByFact.keys());
  return [
    {
      code: "FACTS_MISSING",
      severity: "open",
      at: [...new Set([...placesByFact.values()].flatMap((places) => [...places]))].sort(),
      text: `${list.count} pairs are not decided: ${topology.facts.format} as captured lacks ${[...placesByFact].map(factText).join(" and ")}.`,
      source: "what the capture holds",
      pairs: list.listed,
      pairCount: list.count,
      fixes: fix === undefined ? [] : [fix],
    },
  ];
}

const FACT_NAMES: Readonly<Record<HangFact, string>> = {
  acs: "ACS control",
  bridges: "bridges that may stand between those shown",
  cpu: "the CPU",
  "host-bridge": "the id of the host bridge",
  "port-types": "the kind of port",
  "kernel-table": "(a fact about the kernel) whether it lists the host bridge",
};

function factText([fact, places]: readonly [HangFact, ReadonlySet<string>]): string {
  const shown = [...places].slice(0, PLACES_SHOWN_MAX).join(", ");
  const more = places.size > PLACES_SHOWN_MAX ? ` and ${places.size - PLACES_SHOWN_MAX} more` : "";
  return places.size === 0 ? FACT_NAMES[fact] : `${FACT_NAMES[fact]} of ${shown}${more}`;
}
