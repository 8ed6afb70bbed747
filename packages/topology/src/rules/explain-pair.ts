/**
 * Explain pair: the verdict on one pair with the way it takes, hop by hop, and what could change it.
 */
import { type AcsBit, acsBits } from "../acs.ts";
import type { Topology } from "../topology.ts";
import type { Answer } from "./host-bridge.ts";
import { judgePair, type PairVerdict, redirectAnswer, walkPair } from "./judge-pair.ts";
import type { KernelRules } from "./kernel-rules.ts";
import { type Remedy, remediesFor } from "./remedy.ts";

export type HopRole = "provider" | "client" | "bridge" | "common";

/** One function on the way, as the kernel sees it. */
export interface Hop {
  readonly row: number;
  readonly bdf: string;
  /** The common function is `common` even when it is the provider or the client itself. */
  readonly role: HopRole;
  /** Bits by name, `"absent"`, or `"unknown"` where the capture does not reach. */
  readonly acs:
    | { readonly capability: readonly AcsBit[]; readonly control: readonly AcsBit[] }
    | "absent"
    | "unknown";
  /** Does it send peer traffic up to the root complex? */
  readonly redirects: Answer;
}

export interface Explanation {
  readonly provider: string;
  readonly client: string;
  readonly verdict: PairVerdict;
  /** From the provider up to the common function or the root bus, then down to the client. */
  readonly hops: readonly Hop[];
  /** Root buses (`dddd:bb`) that the way passes: none below a common bridge without redirect. */
  readonly rootBuses: readonly string[];
  /** Best first. */
  readonly remedies: readonly Remedy[];
}

/** Everything there is to say about one ordered pair of rows. */
export function explainPair(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
): Explanation {
  const { providerSide, clientSide, common } = walkPair(topology, provider, client);
  const verdict = judgePair(topology, rules, provider, client);
  const roleOf = (row: number): HopRole => {
    if (row === common) {
      return "common";
    }
    if (row === provider) {
      return "provider";
    }
    return row === client ? "client" : "bridge";
  };
  const rootBuses = new Set([provider, client].map((row) => topology.rootBusOf(row).id));
  return {
    provider: topology.bdfOf(provider),
    client: topology.bdfOf(client),
    verdict,
    hops: [...providerSide, ...clientSide.toReversed()].map((row) =>
      hopOf(topology, rules, row, roleOf(row)),
    ),
    rootBuses: verdict.type === "bus-addr" ? [] : [...rootBuses],
    remedies: remediesFor(topology, rules, provider, client),
  };
}

function hopOf(topology: Topology, rules: KernelRules, row: number, role: HopRole): Hop {
  const acs = topology.acsOf(row);
  return {
    row,
    bdf: topology.bdfOf(row),
    role,
    acs:
      acs === undefined
        ? "unknown"
        : acs === "absent"
          ? "absent"
          : { capability: acsBits(acs.capability), control: acsBits(acs.control) },
    redirects: redirectAnswer(topology, rules, row),
  };
}
