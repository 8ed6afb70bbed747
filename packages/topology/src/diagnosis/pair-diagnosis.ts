/**
 * Pair diagnosis: everything there is to say about one ordered pair, in one answer.
 *
 * "Possible" is the kernel's verdict, given that it was built with P2PDMA. "Advised" is what somebody with experience would add: crossing
 * sockets works and is slow, an unlisted root complex may carry a write and drop a read. Reads are the
 * client's reads of the provider's memory.
 */
import type { PathType } from "@peerbuf/core";
import type { Fix } from "../fixes/fix.ts";
import { proposeFixes } from "../fixes/propose-fixes.ts";
import type { PathClass } from "../path-class.ts";
import type { Answer } from "../rules/host-bridge.ts";
import {
  hasEveryBridge,
  judgePair,
  type PairVerdict,
  type PathWalk,
  redirectAnswer,
  walkPair,
} from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import { crossed, slowestLink } from "../rules/link-bound.ts";
import type { Topology } from "../topology.ts";
import { type DriverRule, driverRuleOf } from "./driver-rules.ts";
import { apuOf, rootComplexFact } from "./known-hardware.ts";
import { type LinkState, linkStateOf } from "./link-state.ts";
import { type MemoryReach, memoryReachOf } from "./memory-reach.ts";
import { pathClassOf, socketOf } from "./path-class-of.ts";
import { type Translation, translationOf } from "./translation.ts";

/** One direction of a pair. */
export interface Direction {
  /** What the kernel maps. */
  readonly verdict: PathType;
  /** Does the hardware carry it, whoever maps it? `unknown` where nobody has said so. */
  readonly hardware: Answer;
  readonly text: string;
  readonly source: string;
}

/** Should one use P2P between the two, given that it is possible? */
export interface Advice {
  /** `no` also where it is impossible. */
  readonly answer: Answer;
  readonly reasons: readonly string[];
}

/** What bounds the bandwidth of the way. */
export interface BandwidthBound {
  readonly bytesPerSecond: number;
  /** BDF at the lower end of the slowest link. */
  readonly at: string;
  readonly text: string;
}

export interface PairDiagnosis {
  readonly provider: string;
  readonly client: string;
  readonly verdict: PairVerdict;
  readonly possible: Answer;
  readonly advised: Advice;
  readonly reads: Direction;
  readonly writes: Direction;
  /** BDFs of the functions on this way that send peer traffic up; others do not matter to this pair. */
  readonly redirecting: readonly string[];
  /** What NCCL and nvidia-smi would call it; undefined where the capture does not show it. */
  readonly pathClass?: PathClass;
  /** Sockets of provider and client differ; NUMA nodes where sockets are not in the capture. */
  readonly crossesSockets: Answer;
  readonly translation: {
    readonly provider: Translation;
    readonly client: Translation;
    /** Do the client's requests meet a translating IOMMU on this way? */
    readonly isMet: Answer;
  };
  /** What the two drivers do with the verdict; left out where no driver is bound or nothing is known of it. */
  readonly drivers: { readonly provider?: DriverRule; readonly client?: DriverRule };
  /** How much of the provider's memory has a bus address. */
  readonly reach?: MemoryReach;
  /** Links of the way that run below what both ends can. */
  readonly links: readonly LinkState[];
  readonly bandwidth?: BandwidthBound;
  /** Best first. */
  readonly fixes: readonly Fix[];
}

export interface DiagnoseOptions {
  /** Rows whose pairs the fixes are counted over; left out: accelerators, NICs and NVMe drives. */
  readonly between?: Int32Array | readonly number[];
}

/** @param provider row of the function whose memory it is @param client row of the function that reads and writes it */
export function diagnosePair(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  options: DiagnoseOptions = {},
): PairDiagnosis {
  const verdict = judgePair(topology, rules, provider, client);
  const walk = walkPair(topology, provider, client);
  const pathClass = pathClassOf(topology, provider, client);
  const reach = memoryReachOf(topology, provider);
  const bandwidth = boundOf(topology, verdict.type, walk);
  const crossesSockets = crossing(topology, provider, client);
  const translation = translationOfPair(topology, provider, client, verdict.type);
  const reads = direction(topology, rules, provider, client, verdict, "reads");
  const writes = direction(topology, rules, provider, client, verdict, "writes");
  return {
    provider: topology.bdfOf(provider),
    client: topology.bdfOf(client),
    verdict,
    possible: possibleOf(topology, verdict.type),
    advised: advice(
      topology,
      verdict.type,
      crossesSockets,
      provider,
      [reads, writes],
      translation.isMet,
    ),
    reads,
    writes,
    redirecting: redirectingOf(topology, rules, walk),
    ...(pathClass !== undefined && { pathClass }),
    crossesSockets,
    translation,
    drivers: driversOf(topology, provider, client),
    ...(reach !== undefined && { reach }),
    links: hasEveryBridge(topology) ? weakLinks(topology, verdict.type, walk) : [],
    ...(bandwidth !== undefined && { bandwidth }),
    fixes: proposeFixes(topology, rules, provider, client, options.between),
  };
}

function driversOf(topology: Topology, provider: number, client: number): PairDiagnosis["drivers"] {
  const exporting = driverRuleOf(topology, provider, "provider");
  const importing = driverRuleOf(topology, client, "client");
  return {
    ...(exporting !== undefined && { provider: exporting }),
    ...(importing !== undefined && { client: importing }),
  };
}

/** A kernel built without P2PDMA refuses every mapping, whatever its rules would say. */
function lacksP2pdma({ facts }: Topology): boolean {
  const setting = facts.kernelConfig?.get("CONFIG_PCI_P2PDMA");
  return setting !== undefined && setting !== "y";
}

function possibleOf(topology: Topology, type: PathType): Answer {
  if (lacksP2pdma(topology)) {
    return "no";
  }
  if (type === "unknown") {
    return "unknown";
  }
  return type === "unsupported" ? "no" : "yes";
}

/** Functions whose redirect counts for this pair: without a common bridge none does. */
function redirectingOf(topology: Topology, rules: KernelRules, walk: PathWalk): string[] {
  const visited = walk.common < 0 ? [] : [...walk.providerSide, ...walk.clientSide];
  return visited
    .filter((row) => redirectAnswer(topology, rules, row) === "yes")
    .map((row) => topology.bdfOf(row));
}

function crossing(topology: Topology, provider: number, client: number): Answer {
  const nodes = [provider, client].map((row) => socketOf(topology, row));
  if (nodes.includes(-1)) {
    return topology.rootBusOf(provider) === topology.rootBusOf(client) ? "no" : "unknown";
  }
  return nodes[0] === nodes[1] ? "no" : "yes";
}

function direction(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  { type }: PairVerdict,
  way: "reads" | "writes",
): Direction {
  if (type === "bus-addr") {
    const text = "the traffic turns round below the root complex, where switches must route it";
    return {
      verdict: type,
      hardware: "yes",
      text,
      source: "PCIe base specification, switch routing",
    };
  }
  const roots = [provider, client].map((row) => topology.rootBusOf(row));
  const facts = roots.map((root) => rootComplexFact(topology, rules, root, roots[0] !== roots[1]));
  const worst =
    facts.find((fact) => fact?.[way] === "no") ??
    facts.find((fact) => fact?.[way] === "unknown") ??
    facts.find((fact) => fact !== undefined);
  if (worst === undefined || (worst[way] === "yes" && facts.includes(undefined))) {
    const text = "whether this root complex carries peer traffic is known to nobody here";
    return {
      verdict: type,
      hardware: "unknown",
      text,
      source: "no row in the table of known hardware",
    };
  }
  const hardware = type === "unknown" && worst[way] === "no" ? "unknown" : worst[way];
  return { verdict: type, hardware, text: worst.text, source: worst.source };
}

function advice(
  topology: Topology,
  type: PathType,
  crossesSockets: Answer,
  provider: number,
  directions: readonly Direction[],
  isTranslated: Answer,
): Advice {
  if (lacksP2pdma(topology)) {
    return {
      answer: "no",
      reasons: ["this kernel was built without CONFIG_PCI_P2PDMA: it refuses every P2P mapping"],
    };
  }
  if (type === "unsupported" || type === "unknown") {
    const answer = type === "unknown" ? "unknown" : "no";
    return { answer, reasons: [`P2P is ${type === "unknown" ? "not decided" : "refused"}`] };
  }
  const reasons: string[] = [];
  if (type === "host-bridge" && crossesSockets === "yes") {
    reasons.push(
      "the way crosses the link between sockets: a copy through host memory is often as fast or faster",
    );
  }
  if (directions.some(({ hardware }) => hardware === "no")) {
    reasons.push("one direction is known to fail on this hardware");
  }
  const apu = apuOf(topology, provider);
  if (apu !== undefined) {
    reasons.push(
      `${apu} keeps its memory in the package: ask its driver for system memory instead`,
    );
  }
  if (reasons.length > 0) {
    return { answer: "no", reasons };
  }
  const doubts = [
    ...(topology.facts.isVirtualMachine === true
      ? ["the host's topology is not in a guest's capture"]
      : []),
    ...(isTranslated === "yes"
      ? ["the IOMMU translates on this way: believe a transfer with checksums, not a driver's OK"]
      : []),
  ];
  return { answer: doubts.length > 0 ? "unknown" : "yes", reasons: doubts };
}

function translationOfPair(
  topology: Topology,
  provider: number,
  client: number,
  type: PathType,
): PairDiagnosis["translation"] {
  const of = {
    provider: translationOf(topology, provider),
    client: translationOf(topology, client),
  };
  if (type === "bus-addr") {
    return { ...of, isMet: "no" };
  }
  const { isTranslated } = of.client;
  return { ...of, isMet: type === "unknown" && isTranslated === "yes" ? "unknown" : isTranslated };
}

const weakLinks = (topology: Topology, type: PathType, walk: PathWalk): LinkState[] =>
  crossed(topology, type, walk)
    .map((row) => linkStateOf(topology, row))
    .filter((state) => state !== undefined)
    .filter(({ isNarrow, isSlow }) => isNarrow || isSlow);

function boundOf(topology: Topology, type: PathType, walk: PathWalk): BandwidthBound | undefined {
  const slowest = hasEveryBridge(topology) ? slowestLink(topology, type, walk) : undefined;
  if (slowest === undefined) {
    return undefined;
  }
  const { linkSpeedMtps, linkWidth } = topology.table;
  const at = topology.bdfOf(slowest.row);
  const physical = topology.table.physicalFunction[slowest.row] as number;
  const owner = physical < 0 ? slowest.row : physical;
  const speed = (linkSpeedMtps[owner] as number) / 1000;
  const text = `${speed} GT/s x${linkWidth[owner]} above ${at}, after line coding; packet headers take a further part`;
  return { bytesPerSecond: slowest.bytesPerSecond, at, text };
}
