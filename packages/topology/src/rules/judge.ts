/**
 * Judge: the verdicts of one machine by function id, for core to ask at every attach.
 *
 * A pair is judged once and kept, so that asking again costs three look-ups and no allocation. Ids that
 * are no function of this machine get an honest refusal, as in the kernel's mapping API, which takes
 * PCI functions only (`pci_p2pdma_map_type`, 6.12).
 */
import type { Judge, PathVerdict } from "@peerbuf/core";
import { parseBdf } from "../bdf.ts";
import type { Topology } from "../topology.ts";
import { hasEveryBridge, judgePair, walkPair } from "./judge-pair.ts";
import type { KernelRules } from "./kernel-rules.ts";
import { linkBound } from "./link-bound.ts";
import type { RuleReason } from "./reason-code.ts";

/** Verdicts kept, at most; when full, all are dropped and made again as needed. */
export const JUDGE_KEPT_MAX = 65_536;

export function createJudge(topology: Topology, rules: KernelRules): Judge {
  const verdictByPair = new Map<number, PathVerdict>();
  const verdictByStranger = new Map<string, PathVerdict>();

  return {
    name: rules.name,
    judge(providerId, clientId) {
      const provider = topology.indexOf(providerId);
      const client = topology.indexOf(clientId);
      if (provider < 0 || client < 0) {
        const id = provider < 0 ? providerId : clientId;
        return kept(verdictByStranger, id, () => strangerVerdict(topology, id));
      }
      const pair = provider * topology.count + client;
      return (
        verdictByPair.get(pair) ??
        kept(verdictByPair, pair, () => verdictWithSpeed(topology, rules, provider, client))
      );
    },
  };
}

function verdictWithSpeed(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
): PathVerdict {
  const verdict = judgePair(topology, rules, provider, client);
  const walk = walkPair(topology, provider, client);
  const bytesPerSecond = hasEveryBridge(topology)
    ? linkBound(topology, verdict.type, walk)
    : undefined;
  return bytesPerSecond === undefined ? verdict : { ...verdict, bytesPerSecond };
}

function kept<Key>(
  verdicts: Map<Key, PathVerdict>,
  key: Key,
  make: () => PathVerdict,
): PathVerdict {
  const known = verdicts.get(key);
  if (known !== undefined) {
    return known;
  }
  if (verdicts.size >= JUDGE_KEPT_MAX) {
    verdicts.clear();
  }
  const verdict = make();
  verdicts.set(key, verdict);
  return verdict;
}

/** A PCI address that is not in the capture may exist all the same; anything else is no PCI function. */
function strangerVerdict(topology: Topology, id: string): PathVerdict {
  const isAddress = parseBdf(id) !== undefined;
  const type = isAddress ? "unknown" : "unsupported";
  const reason: Omit<RuleReason, "at"> = isAddress
    ? { code: "FUNCTION_NOT_CAPTURED", text: `There is no ${id} in ${topology.facts.source}.` }
    : {
        code: "NOT_A_PCI_FUNCTION",
        text: `${id} is not a PCI function, and P2PDMA maps for PCI functions only.`,
      };
  return { reads: type, writes: type, distance: -1, reasons: [{ ...reason, at: id }] };
}
