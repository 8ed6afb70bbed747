/**
 * Trusting judge: claims that P2P works wherever the rules say no or do not know.
 *
 * What an out-of-tree patch or a wrong quirk does to a kernel. For seeing what the machine then does
 * with the bytes; the claim stands in every record.
 */
import type { Judge, PathVerdict } from "@peerbuf/core";

export function trustAll(rules: Judge): Judge {
  return {
    name: `${rules.name}, overruled`,
    judge(providerId, clientId) {
      const verdict = rules.judge(providerId, clientId);
      return isUsable(verdict) ? verdict : overruled(verdict);
    },
  };
}

const isUsable = ({ reads, writes }: PathVerdict): boolean =>
  [reads, writes].every((type) => type === "bus-addr" || type === "host-bridge");

function overruled(verdict: PathVerdict): PathVerdict {
  const text = `The rules say "${verdict.reads}"; the scenario claims that the root complex forwards it (trust: assume-p2p).`;
  return {
    ...verdict,
    reads: "host-bridge",
    writes: "host-bridge",
    reasons: [{ code: "ASSUMED_BY_SCENARIO", text }, ...verdict.reasons],
  };
}
