/**
 * Device findings: what single devices and their links do to peer traffic.
 */
import { sizeText, widenBar } from "../fixes/widen-bar.ts";
import { hasEveryBridge } from "../rules/judge-pair.ts";
import type { Topology } from "../topology.ts";
import type { Finding } from "./finding.ts";
import { apuOf } from "./known-hardware.ts";
import { type LinkState, linkStateOf } from "./link-state.ts";
import { isSmall, memoryReachOf } from "./memory-reach.ts";
import type { PairScope } from "./pair-scope.ts";

export const deviceFindings = (topology: Topology, scope: PairScope): Finding[] => [
  ...reachFindings(topology, scope),
  ...apuFindings(topology, scope),
  ...linkFindings(topology, scope),
  ...driverFindings(topology, scope),
];

/** Pairs are counted, not listed: every pair of these providers is touched alike. */
const counted = (scope: PairScope, providerCount: number) => ({
  pairs: [],
  pairCount: providerCount * (scope.rows.length - 1),
});

function reachFindings(topology: Topology, scope: PairScope): Finding[] {
  const small = [...scope.providers].flatMap((row) => {
    const reach = memoryReachOf(topology, row);
    return reach !== undefined && isSmall(topology, row, reach) ? [{ row, reach }] : [];
  });
  if (small.length === 0) {
    return [];
  }
  const sizes = small.map(({ row, reach: { isAssigned, sizeBytes } }) => {
    const size = sizeBytes === undefined ? "a BAR of unknown size" : sizeText(sizeBytes);
    return `${topology.bdfOf(row)} shows ${isAssigned ? size : "nothing (its BAR has no address)"}`;
  });
  return [
    {
      code: "BAR_SMALL",
      severity: "slows",
      at: small.map(({ row }) => topology.bdfOf(row)),
      text: `Peers reach only what a BAR shows, memory above it is no target: ${sizes.join(", ")}.`,
      source: "BARs and the Resizable BAR capability (PCIe 7.8.6)",
      ...counted(scope, small.length),
      fixes: small.map(({ row, reach }) => widenBar(topology, row, reach)),
    },
  ];
}

function apuFindings(topology: Topology, scope: PairScope): Finding[] {
  const rows = [...scope.providers].filter((row) => apuOf(topology, row) !== undefined);
  const [first] = rows;
  return first === undefined
    ? []
    : [
        {
          code: "MEMORY_IN_PACKAGE",
          severity: "note",
          at: rows.map((row) => topology.bdfOf(row)),
          text: `${apuOf(topology, first)}: processor and GPU are one package with one memory, so peers are served from system memory and no BAR is the target.`,
          source: "device ids",
          ...counted(scope, rows.length),
          fixes: [],
        },
      ];
}

function linkFindings(topology: Topology, scope: PairScope): Finding[] {
  if (!hasEveryBridge(topology)) {
    return [];
  }
  const rows = new Set([...scope.rows].flatMap((row) => chainOf(topology, row)));
  const states = [...rows]
    .sort((one, other) => one - other)
    .map((row) => linkStateOf(topology, row))
    .filter((state) => state !== undefined);
  const narrow = states.filter(({ isNarrow }) => isNarrow);
  const slow = states.filter(({ isSlow, isNarrow }) => isSlow && !isNarrow);
  return [
    ...linkFinding(
      "LINK_NARROW",
      "slows",
      narrow,
      "lanes are missing: reseat the card, look at the riser and the slot's bifurcation",
    ),
    ...linkFinding(
      "LINK_SLOW",
      "slows",
      slow.filter(({ mayBeIdle }) => !mayBeIdle),
      "the link trained down: look at the riser, the slot's speed setting and the error counters",
    ),
    ...linkFinding(
      "LINK_SLOW",
      "note",
      slow.filter(({ mayBeIdle }) => mayBeIdle),
      "such devices lower their speed when idle: look again under load before worrying",
    ),
  ];
}

function chainOf(topology: Topology, start: number): number[] {
  const chain: number[] = [];
  for (let row = start; row >= 0; row = topology.upstreamOf(row)) {
    chain.push(row);
  }
  return chain;
}

function linkFinding(
  code: "LINK_NARROW" | "LINK_SLOW",
  severity: "slows" | "note",
  states: readonly LinkState[],
  advice: string,
): Finding[] {
  const shown = states.map(
    ({ at, port, speedMtps, width, speedMaxMtps, widthMax }) =>
      `${port} to ${at} at ${speedMtps / 1000} GT/s x${width}, both can ${speedMaxMtps / 1000} GT/s x${widthMax}`,
  );
  return states.length === 0
    ? []
    : [
        {
          code,
          severity,
          at: states.map(({ at }) => at),
          text: `${shown.join("; ")}: ${advice}.`,
          source: "link status and link capabilities (PCIe 7.5.3.6 to 7.5.3.8), or sysfs",
          pairs: [],
          pairCount: 0,
          fixes: [],
        },
      ];
}

/** Silent where no driver at all was captured: nothing is known then. */
function driverFindings(topology: Topology, scope: PairScope): Finding[] {
  const { driver } = topology.table;
  const rows = [...scope.rows].filter((row) => driver[row] === "" || driver[row] === "vfio-pci");
  if (rows.length === 0 || driver.every((name) => name === "")) {
    return [];
  }
  const given = rows.filter((row) => driver[row] === "vfio-pci");
  const text = `No driver of this host would share or import their buffers${given.length > 0 ? `; ${given.length} of them are set aside for a virtual machine (vfio-pci)` : ""}.`;
  return [
    {
      code: "DRIVER_MISSING",
      severity: "note",
      at: rows.map((row) => topology.bdfOf(row)),
      text,
      source: "driver links in sysfs, or lspci",
      pairs: [],
      pairCount: 0,
      fixes: [],
    },
  ];
}
