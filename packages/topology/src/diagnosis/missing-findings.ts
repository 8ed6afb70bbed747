/**
 * Missing findings: pairs that are not decided, and which facts would decide them.
 *
 * A capture whose ACS could not be read never comes out "fine".
 */
import { captureCommands, captureFacts } from "../fixes/advice.ts";
import type { AllPairs } from "../rules/all-pairs.ts";
import type { HangFact } from "../rules/hangs-on.ts";
import { judgePair } from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import { UNKNOWN } from "../rules/through-root.ts";
import type { Topology } from "../topology.ts";
import type { Finding } from "./finding.ts";
import { PairList } from "./pair-list.ts";
import { eachVerdict, type PairScope } from "./pair-scope.ts";

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
  eachVerdict(scope, pairs, (provider, client, type) => {
    if (type !== UNKNOWN) {
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
    return nothingToJudge(topology, scope);
  }
  const fix = captureFacts(placesByFact.keys());
  return [
    {
      code: "FACTS_MISSING",
      severity: "open",
      at: [...new Set([...placesByFact.values()].flatMap((places) => [...places]))].sort(),
      text: `The verdict on ${list.text} is open: ${topology.facts.format} as captured lacks ${[...placesByFact].map(factText).join(" and ")}.`,
      source: "what the capture holds",
      pairs: list.listed,
      pairCount: list.count,
      fixes: fix === undefined ? [] : [fix],
    },
  ];
}

/** No pair in a capture that cannot show kinds of devices is not "fine" either. */
function nothingToJudge({ facts, table, endpoints }: Topology, scope: PairScope): Finding[] {
  const isBlind =
    endpoints.every((row) => table.classCode[row] === 0) &&
    (endpoints.length > 0 || facts.tree !== "whole");
  return scope.rows.length > 1 || !isBlind
    ? []
    : [
        {
          code: "FACTS_MISSING",
          severity: "open",
          at: [],
          text: `There is no pair to judge: ${facts.format} does not show which functions are accelerators, NICs or NVMe drives.`,
          source: "what the capture holds",
          pairs: [],
          pairCount: 0,
          fixes: [captureCommands(facts.missing)],
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
