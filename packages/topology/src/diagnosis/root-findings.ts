/**
 * Root findings: pairs that meet only in the root complex, and what becomes of them there.
 *
 * Refused: a real limit, never to be forced. Let through: the IOMMU may translate, and the way may cross
 * sockets, where "possible" and "advised" are two answers.
 */
import { captureCommands, newerKernel, putBelowOneSwitch } from "../fixes/advice.ts";
import { clearAcs } from "../fixes/clear-acs.ts";
import type { Fix } from "../fixes/fix.ts";
import { moveIntoFreeSlot } from "../fixes/move-card.ts";
import { iommuOff, passThrough } from "../fixes/pass-through.ts";
import { missingFacts } from "../missing-fact.ts";
import type { AllPairs } from "../rules/all-pairs.ts";
import { hostBridgesOf } from "../rules/host-bridge.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import { HOST_BRIDGE, UNSUPPORTED } from "../rules/through-root.ts";
import type { Topology } from "../topology.ts";
import type { Finding } from "./finding.ts";
import { rootComplexFact } from "./known-hardware.ts";
import { PairList } from "./pair-list.ts";
import { eachVerdict, type PairScope } from "./pair-scope.ts";
import type { Ways } from "./ways.ts";

/** Cards moved on the model for one finding, at most: each means judging the machine anew. */
const MOVES_TRIED_MAX = 4;

export function rootFindings(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
  pairs: AllPairs,
  ways: Ways,
): Finding[] {
  const refused = new PairList(topology);
  const translated = new PairList(topology);
  const untold = new PairList(topology);
  const crossing = new PairList(topology);
  const roots = new Set<number>();
  const ports = new Set<number>();
  eachVerdict(scope, pairs, (provider, client, type) => {
    if (type === HOST_BRIDGE) {
      // Pairs with a bridge in common are a redirect's, and told there.
      if (ways.isTranslated(client) && !ways.meetBelowRoot(provider, client)) {
        translated.add(provider, client);
        ways.addRedirectsAbove(provider, ports);
        ways.addRedirectsAbove(client, ports);
      }
      if (ways.isTranslationOpen(client)) {
        untold.add(provider, client);
      }
      if (ways.crossesSockets(provider, client)) {
        crossing.add(provider, client);
      }
    } else if (type === UNSUPPORTED && !ways.meetBelowRoot(provider, client)) {
      refused.add(provider, client);
      for (const row of [provider, client]) {
        roots.add(topology.table.rootBus[row] as number);
      }
    }
  });
  return [
    ...refusedFinding(topology, rules, scope, refused, roots),
    ...translatedFinding(topology, rules, scope, translated, ports),
    ...untoldFinding(untold),
    ...crossingFinding(crossing),
  ];
}

function refusedFinding(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
  refused: PairList,
  roots: ReadonlySet<number>,
): Finding[] {
  if (refused.count === 0) {
    return [];
  }
  const bridges = hostBridgesOf(topology, rules).filter((_, index) => roots.has(index));
  const refusing = bridges.filter(({ withOthers }) => withOthers !== "yes");
  const reasons = refusing.map(({ reason }) => reason.text).join(" ");
  const finding: Finding = {
    code: "ROOT_COMPLEX_REFUSED",
    severity: "blocks",
    at: refusing.map(({ root }) => root.id),
    text: `The traffic of ${refused.text} meets only in the root complex, and ${rules.name} does not trust it with their traffic. ${reasons} This is a limit of the machine, not a setting: do not force it.`,
    source: "kernel, pci_p2pdma_whitelist and cpu_supports_p2pdma()",
    pairs: refused.listed,
    pairCount: refused.count,
    fixes: refusedFixes(topology, rules, scope, refused),
  };
  return [finding, ...writesOnly(topology, rules, roots, refused)];
}

function refusedFixes(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
  refused: PairList,
): Fix[] {
  const kernel = newerKernel(topology, rules, scope);
  const moves = movesFor(topology, rules, scope, refused);
  const general = moves.length > 0 ? undefined : generalMove(topology, refused);
  return [kernel, ...moves, general].filter((fix) => fix !== undefined);
}

/** Of the first pair that can be moved at all. */
function generalMove(topology: Topology, refused: PairList): Fix | undefined {
  for (const { provider, client } of refused.listed) {
    const fix = putBelowOneSwitch(topology, topology.indexOf(provider), topology.indexOf(client));
    if (fix !== undefined) {
      return fix;
    }
  }
  return undefined;
}

/** One fix for each card that a move would help, the most helpful first. */
function movesFor(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
  refused: PairList,
): Fix[] {
  const fixByMove = new Map<string, Fix>();
  for (const { provider, client } of refused.listed) {
    if (fixByMove.size >= MOVES_TRIED_MAX) {
      break;
    }
    const rows = [provider, client].map((bdf) => topology.indexOf(bdf)) as [number, number];
    const fix = moveIntoFreeSlot(topology, rules, ...rows, scope);
    // A move that costs as many pairs as it helps is no advice for the machine.
    if (fix?.effect !== undefined && fix.effect.improvedCount > fix.effect.worsenedCount) {
      fixByMove.set(JSON.stringify(fix.moves), fix);
    }
  }
  return [...fixByMove.values()].sort(
    (one, other) => (other.effect?.improvedCount ?? 0) - (one.effect?.improvedCount ?? 0),
  );
}

/** What the hardware does to those who do not ask the kernel. */
function writesOnly(
  topology: Topology,
  rules: KernelRules,
  roots: ReadonlySet<number>,
  refused: PairList,
): Finding[] {
  const facts = topology.rootBuses
    .filter((_, index) => roots.has(index))
    .map((root) => ({ root, fact: rootComplexFact(topology, rules, root) }));
  const losing = facts.filter(({ fact }) => fact?.reads === "no");
  const [first] = losing;
  return first?.fact === undefined
    ? []
    : [
        {
          code: "WRITES_ONLY",
          severity: "note",
          at: losing.map(({ root }) => root.id),
          text: `Drivers that do not ask the kernel get this from the hardware: ${first.fact.text}.`,
          source: first.fact.source,
          pairs: refused.listed,
          pairCount: refused.count,
          fixes: [],
        },
      ];
}

/** Redirects above do not count for the kernel's verdict here, but they hand the traffic to the IOMMU. */
function translatedFinding(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
  translated: PairList,
  ports: ReadonlySet<number>,
): Finding[] {
  if (translated.count === 0) {
    return [];
  }
  const rows = [...ports].sort((one, other) => one - other);
  // No verdict changes by it, so it promises nothing: it helped somebody.
  const clearing =
    rows.length === 0 ? [] : [{ ...clearAcs(topology, rules, rows, scope), isPromised: false }];
  const where = rows.length === 1 ? "one function" : `${rows.length} functions`;
  const redirect = rows.length === 0 ? "" : ` ACS redirect on ${where} hands it over.`;
  return [
    {
      code: "IOMMU_TRANSLATES",
      // The kernel maps it rightly; whether the drivers' data arrive, no capture says.
      severity: "open",
      at: rows.map((row) => topology.bdfOf(row)),
      text: `The traffic of ${translated.text} goes through the root complex, where the IOMMU translates.${redirect} Whether data arrive hangs on the drivers: an OK is no proof, run a transfer with checksums. The kernel's DMA API maps the peer's memory in the IOMMU, which works for drivers that use it. In public reports with translation on, P2P hung or lost data until the IOMMU passed requests through, in one until redirect was cleared.`,
      source:
        "kernel, dma-iommu (P2P through the host bridge is mapped in the client's IOMMU domain); types of the IOMMU groups; public reports pytorch/pytorch#84803, NVIDIA/nccl#257, ROCm/rccl#1129, NVIDIA/nccl#2079",
      pairs: translated.listed,
      pairCount: translated.count,
      fixes: [passThrough(topology), ...clearing, ...lastResort(topology)],
    },
  ];
}

const untoldFinding = (untold: PairList): Finding[] =>
  untold.count === 0
    ? []
    : [
        {
          code: "IOMMU_NOT_KNOWN",
          severity: "note",
          at: [],
          text: `Whether an IOMMU translates the traffic of ${untold.text} in the root complex is not in the capture; drivers lost data where one does.`,
          source: "what the capture holds",
          pairs: untold.listed,
          pairCount: untold.count,
          fixes: [captureCommands(missingFacts("iommu-mode"))],
        },
      ];

function lastResort(topology: Topology): Fix[] {
  const fix = iommuOff(topology);
  return fix === undefined ? [] : [fix];
}

const crossingFinding = (crossing: PairList): Finding[] =>
  crossing.count === 0
    ? []
    : [
        {
          code: "SOCKETS_CROSSED",
          severity: "slows",
          at: [],
          text: `The way of ${crossing.text} crosses the link between sockets (NUMA nodes, where sockets are not in the capture): P2P is possible and not advised, a copy through host memory is often as fast. Use pairs of one socket where there is a choice.`,
          source:
            "NUMA nodes and sockets of the devices; public reports NVIDIA/nccl-tests#74, NVIDIA/nccl#428",
          pairs: crossing.listed,
          pairCount: crossing.count,
          fixes: [],
        },
      ];
