/**
 * Trusting judge: claims that P2P works wherever the rules say no or do not know.
 *
 * What an out-of-tree patch, a wrong quirk or a driver that asks nobody does to a kernel. For seeing what
 * the machine then does with the bytes; the claim stands in every record.
 */
import type { Judge, PathType, PathVerdict } from "@peerbuf/core";
import type { Trust } from "../scenario/machine-plan.ts";

/** The rules themselves, or the judge who overrules them. */
export function trusting(trust: Trust, rules: Judge): Judge {
  switch (trust) {
    case "rules":
      return rules;
    case "assume-p2p":
      return overruling(rules, isUsable, "host-bridge", "the root complex forwards it");
    case "assume-bus-addr":
      return overruling(
        rules,
        ({ reads, writes }) => reads === "bus-addr" && writes === "bus-addr",
        "bus-addr",
        "the peer's bus address works as it is",
      );
  }
}

const isUsable = ({ reads, writes }: PathVerdict): boolean =>
  [reads, writes].every((type) => type === "bus-addr" || type === "host-bridge");

function overruling(
  rules: Judge,
  isLeftAlone: (verdict: PathVerdict) => boolean,
  claimed: PathType,
  claim: string,
): Judge {
  return {
    name: `${rules.name}, overruled`,
    judge(providerId, clientId) {
      const verdict = rules.judge(providerId, clientId);
      if (isLeftAlone(verdict)) {
        return verdict;
      }
      const text = `The rules say "${verdict.reads}"; the scenario claims that ${claim} (trust: ${claimed === "bus-addr" ? "assume-bus-addr" : "assume-p2p"}).`;
      return {
        ...verdict,
        reads: claimed,
        writes: claimed,
        reasons: [{ code: "ASSUMED_BY_SCENARIO", text }, ...verdict.reasons],
      };
    },
  };
}
