/**
 * Redirect findings: pairs below one bridge whose traffic ACS sends the long way, or nowhere.
 *
 * All of them make one finding with one fix, because the kernel takes one list of ports: two findings with
 * two lists would undo each other. Only ports on the way of a pair that is asked about are named; a
 * redirect anywhere else changes nothing and is not mentioned. Source validation alone is no redirect.
 */
import { acsBits } from "../acs.ts";
import { firmwareSetting } from "../fixes/advice.ts";
import { clearAcs } from "../fixes/clear-acs.ts";
import type { Fix } from "../fixes/fix.ts";
import { passThrough } from "../fixes/pass-through.ts";
import type { AllPairs } from "../rules/all-pairs.ts";
import { hasEveryBridge } from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import { BUS_ADDR, UNSUPPORTED } from "../rules/through-root.ts";
import type { Topology } from "../topology.ts";
import type { Finding, FindingCode } from "./finding.ts";
import { PairList } from "./pair-list.ts";
import { eachVerdict, type PairScope } from "./pair-scope.ts";
import type { Ways } from "./ways.ts";

export function redirectFindings(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
  pairs: AllPairs,
  ways: Ways,
): Finding[] {
  if (!hasEveryBridge(topology)) {
    return [];
  }
  const list = new PairList(topology);
  const ports = new Set<number>();
  let refusedCount = 0;
  let translatedCount = 0;
  eachVerdict(scope, pairs, (provider, client, type) => {
    if (type === BUS_ADDR) {
      return;
    }
    if (ways.addRedirects(provider, client, ports) === 0) {
      return;
    }
    list.add(provider, client);
    refusedCount += type === UNSUPPORTED ? 1 : 0;
    translatedCount += ways.isTranslated(client) ? 1 : 0;
  });
  if (list.count === 0) {
    return [];
  }
  const rows = [...ports].sort((one, other) => one - other);
  const code = codeOf(refusedCount, translatedCount);
  return [
    {
      code,
      severity: code === "REDIRECT_REFUSED" ? "blocks" : "slows",
      at: rows.map((row) => topology.bdfOf(row)),
      text: textOf(topology, rules, rows, list.text, refusedCount, translatedCount),
      source: "ACS control registers, config space",
      pairs: list.listed,
      pairCount: list.count,
      fixes: [
        clearAcs(topology, rules, rows, scope),
        translatedCount > 0 ? passThrough(topology) : ACS_OFF,
      ],
    },
  ];
}

/** Without an IOMMU it is the firmware that set the bits, so the firmware can leave them alone. */
const ACS_OFF: Fix = firmwareSetting(
  "Where the firmware setup has a setting for ACS, off there keeps the firmware from setting the bits; bridges that it does not manage, on cards and risers, keep theirs.",
);

function codeOf(refusedCount: number, translatedCount: number): FindingCode {
  if (refusedCount > 0) {
    return "REDIRECT_REFUSED";
  }
  return translatedCount > 0 ? "REDIRECT_TRANSLATED" : "REDIRECT_DETOUR";
}

function textOf(
  topology: Topology,
  rules: KernelRules,
  rows: readonly number[],
  pairsText: string,
  refusedCount: number,
  translatedCount: number,
): string {
  const { acsControl } = topology.table;
  const bits = new Set(
    rows.flatMap((row) => acsBits((acsControl[row] as number) & rules.redirectMask)),
  );
  const where = rows.length === 1 ? "one function" : `${rows.length} functions`;
  const refused = refusedCount > 0 ? `; ${rules.name} refuses ${refusedCount} there` : "";
  const translated = translatedCount > 0 ? `; the IOMMU translates ${translatedCount} there` : "";
  return `ACS redirect on ${where} (${[...bits].join(", ")}) sends the traffic of ${pairsText} with a bridge in common up to the root complex${refused}${translated}.`;
}
