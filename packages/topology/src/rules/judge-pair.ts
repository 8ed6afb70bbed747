/**
 * Judge pair: the kernel's verdict on one ordered pair, with every reason for it.
 *
 * Follows `calc_map_type_and_dist()` of drivers/pci/p2pdma.c (6.12): the short distance is kept even
 * where a redirect sends the traffic the long way; the common bridge's own redirect bits count, bits
 * above it never do; without a common bridge redirects do not matter.
 *
 * Where the capture lacks a fact on which the answer hangs, the answer is "unknown" and the reasons
 * name the fact. A fact that could not change the answer is not asked for.
 */
import type { PathType, PathVerdict } from "@peerbuf/core";
import { acsBits } from "../acs.ts";
import { hex } from "../bdf.ts";
import { ACS_PRESENT, ACS_UNKNOWN } from "../function-table.ts";
import type { Topology } from "../topology.ts";
import { type Hang, hangsOn, type OpenPair } from "./hangs-on.ts";
import {
  type Answer,
  cpuAnswer,
  cpuReason,
  type HostBridge,
  hostBridgeOf,
  passAnswer,
  whitelistAnswer,
} from "./host-bridge.ts";
import type { KernelRules } from "./kernel-rules.ts";
import type { RuleReason } from "./reason-code.ts";

export interface PairVerdict extends PathVerdict {
  /** The one answer for reads and writes: these rules do not tell them apart. */
  readonly type: PathType;
  readonly reasons: readonly RuleReason[];
  /** What an unknown verdict hangs on, and what it would be either way. Empty when the verdict is known. */
  readonly hangsOn: readonly Hang[];
}

/** The way between two functions as the kernel walks it. */
export interface PathWalk {
  /** From the provider upwards; ends with the common function if there is one. */
  readonly providerSide: readonly number[];
  /** From the client upwards; ends below the common function. */
  readonly clientSide: readonly number[];
  /** Row of the lowest common function, -1 when the paths meet only in the root complex. */
  readonly common: number;
  /** -1 where bridges may be missing from the capture. */
  readonly distance: number;
}

/** True when every bridge on the way of every pair is in the capture. */
export const hasEveryBridge = (topology: Topology): boolean =>
  topology.facts.tree === "whole" || topology.facts.tree === "chains";

/** Does a function send peer traffic up, by its ACS control register? */
export function redirectAnswer(topology: Topology, rules: KernelRules, row: number): Answer {
  const { acsState, acsControl } = topology.table;
  if (acsState[row] === ACS_UNKNOWN) {
    return "unknown";
  }
  const redirects =
    acsState[row] === ACS_PRESENT && ((acsControl[row] as number) & rules.redirectMask) !== 0;
  return redirects ? "yes" : "no";
}

/** The functions the kernel visits for a pair, and the distance it counts. */
export function walkPair(topology: Topology, provider: number, client: number): PathWalk {
  const up = chainOf(topology, provider);
  const down = chainOf(topology, client);
  const common = up.find((row) => down.includes(row)) ?? -1;
  const providerSide = common < 0 ? up : up.slice(0, up.indexOf(common) + 1);
  const clientSide = common < 0 ? down : down.slice(0, down.indexOf(common));
  // The common function ends the provider's list but is no hop; without one every function counts.
  const distance = providerSide.length + clientSide.length - (common < 0 ? 0 : 1);
  const isCounted = provider === client || hasEveryBridge(topology);
  return { providerSide, clientSide, common, distance: isCounted ? distance : -1 };
}

function chainOf(topology: Topology, start: number): number[] {
  const chain: number[] = [];
  for (let row = start; row >= 0; row = topology.upstreamOf(row)) {
    chain.push(row);
  }
  return chain;
}

/** The verdict on one ordered pair of rows. Allocates; use `createJudge` or `judgeAllPairs` for many. */
export function judgePair(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
): PairVerdict {
  const walk = walkPair(topology, provider, client);
  const visited = [...walk.providerSide, ...walk.clientSide];
  const redirecting = visited.filter((row) => redirectAnswer(topology, rules, row) === "yes");
  const unread = visited.filter((row) => redirectAnswer(topology, rules, row) === "unknown");
  const check = checkHostBridges(topology, rules, provider, client);
  const common = commonAnswer(walk);
  const open: OpenPair = {
    common,
    redirects: redirecting.length > 0 ? "yes" : unread.length > 0 ? "unknown" : "no",
    unread: unread.map((row) => topology.bdfOf(row)),
    cpu: cpuAnswer(topology, rules),
    bridges: check.bridges,
    formatName: topology.facts.format,
    rootsAreKnown: hasEveryBridge(topology),
  };
  const reasons = placeReasons(topology, walk, common);
  if (walk.distance < 0) {
    const meetsBelow = walk.common < 0 ? {} : { hiddenBelow: topology.bdfOf(walk.common) };
    const hangs = hangsOn({ ...open, redirects: "unknown", unread: [], ...meetsBelow });
    return verdict("unknown", walk, [...reasons, ...check.reasons], hangs);
  }
  if (common === "no") {
    return verdict(check.type, walk, [...reasons, ...check.reasons], hangsOn(open));
  }
  if (redirecting.length > 0) {
    reasons.push(...redirecting.map((row) => redirectReason(topology, rules, row)));
    return verdict(check.type, walk, [...reasons, ...check.reasons], hangsOn(open));
  }
  if (unread.length > 0) {
    reasons.push(...unread.map((row) => unreadReason(topology, row, check.type)));
    return verdict("unknown", walk, [...reasons, ...check.reasons], hangsOn(open));
  }
  return verdict("bus-addr", walk, reasons, []);
}

/** Is there a function above both? A function is common with itself whatever else was captured. */
function commonAnswer(walk: PathWalk): Answer {
  if (walk.common >= 0) {
    return "yes";
  }
  return walk.distance < 0 ? "unknown" : "no";
}

const verdict = (
  type: PathType,
  walk: PathWalk,
  reasons: readonly RuleReason[],
  hangs: readonly Hang[],
): PairVerdict => ({
  type,
  reads: type,
  writes: type,
  distance: walk.distance,
  reasons,
  hangsOn: hangs,
});

interface HostBridgeCheck {
  readonly type: PathType;
  readonly reasons: readonly RuleReason[];
  readonly bridges: readonly HostBridge[];
}

const TYPE_OF_PASS: Readonly<Record<Answer, PathType>> = {
  yes: "host-bridge",
  no: "unsupported",
  unknown: "unknown",
};

function checkHostBridges(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
): HostBridgeCheck {
  const cpu = cpuAnswer(topology, rules);
  const above = hostBridgeOf(topology, rules, topology.rootBusOf(provider));
  const isSame = topology.rootBusOf(provider) === topology.rootBusOf(client);
  const bridges = isSame
    ? [above]
    : [above, hostBridgeOf(topology, rules, topology.rootBusOf(client))];
  const whitelist = whitelistAnswer(above, bridges.at(-1) ?? above);
  const type = TYPE_OF_PASS[passAnswer(cpu, whitelist)];
  if (cpu === "yes") {
    return { type, reasons: [cpuReason(topology, rules)], bridges };
  }
  const bridgeReasons = bridges.map(({ reason }) => reason);
  return {
    type,
    reasons: whitelist === "yes" ? bridgeReasons : [cpuReason(topology, rules), ...bridgeReasons],
    bridges,
  };
}

function placeReasons(topology: Topology, walk: PathWalk, common: Answer): RuleReason[] {
  const hidden: RuleReason[] =
    walk.distance < 0
      ? [
          {
            code: "BRIDGES_UNKNOWN",
            text: `${topology.facts.format} may leave out bridges between those it shows, so it is not known where the two meet and what redirects on the way.`,
          },
        ]
      : [];
  return common === "unknown" ? hidden : [placeReason(topology, walk), ...hidden];
}

function placeReason(topology: Topology, walk: PathWalk): RuleReason {
  if (walk.distance === 0) {
    const text = "Provider and client are one function.";
    return { code: "SAME_FUNCTION", at: topology.bdfOf(walk.common), text };
  }
  if (walk.common < 0) {
    const text = "There is no bridge above both, so the traffic meets only in the root complex.";
    return { code: "NO_COMMON_BRIDGE", text };
  }
  const at = topology.bdfOf(walk.common);
  return { code: "COMMON_BRIDGE", at, text: `Both are below bridge ${at}.` };
}

function redirectReason(topology: Topology, rules: KernelRules, row: number): RuleReason {
  const at = topology.bdfOf(row);
  const control = topology.table.acsControl[row] as number;
  const bits = acsBits(control & rules.redirectMask).join(" and ");
  const text = `${at} redirects peer traffic to the root complex: ${bits} set (ACS control 0x${hex(control, 4)}).`;
  return { code: "ACS_REDIRECT", at, text };
}

function unreadReason(topology: Topology, row: number, otherwise: PathType): RuleReason {
  const at = topology.bdfOf(row);
  const bytes = topology.table.configLength[row] as number;
  const text = `ACS control of ${at} is not in the capture (${bytes} of 4096 bytes of config space): if it redirects, the answer is ${otherwise}, else bus-addr.`;
  return { code: "ACS_UNKNOWN", at, text };
}
