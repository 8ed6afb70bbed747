/**
 * Merge captures: several captures of one machine complete each other.
 *
 * The tree comes from the capture that knows it best; every other fact from the first capture, in the
 * order given, that has it. What cannot differ on one machine (ids, the place of a bridge, bus numbers,
 * the CPU) refuses the whole when it does; what can change over time (links, ACS control, drivers) is kept
 * as a contradiction that names both sources.
 *
 * Facts of one function are joined in `merge-function.ts`, those of the machine in `merge-facts.ts`.
 */
import { InputError } from "@peerbuf/core";
import { type Bdf, formatBus, parseBdf } from "../bdf.ts";
import type { FunctionRecord } from "../function-record.ts";
import type { Contradiction, TreeCoverage } from "../machine-facts.ts";
import { hasEveryBridge } from "../rules/judge-pair.ts";
import type { Topology } from "../topology.ts";
import { buildTopology } from "../topology-builder.ts";
import { mergeFacts } from "./merge-facts.ts";
import { mergeFunction } from "./merge-function.ts";
import { checkPlaces } from "./merge-places.ts";
import { refusedMerge, type Witness } from "./witness.ts";

/** Captures of one machine, at most. */
export const MERGE_COUNT_MAX = 64;

const RANK: Readonly<Record<TreeCoverage, number>> = { whole: 3, chains: 2, gaps: 1, none: 0 };

/**
 * One topology of several. One alone is returned as it is.
 * @throws InputError when there are none or too many, or when they cannot be of one machine
 */
export function mergeCaptures(captures: readonly Topology[]): Topology {
  const [only] = captures;
  if (only === undefined || captures.length > MERGE_COUNT_MAX) {
    throw new InputError({
      source: `${captures.length} captures`,
      cause: `1 to ${MERGE_COUNT_MAX} captures of one machine can be read together`,
      remedy: "Name the captures of one machine",
    });
  }
  if (captures.length === 1) {
    return only;
  }
  const treeSource = bestTree(captures);
  requireOverlap(captures, treeSource);
  const contradictions: Contradiction[] = [];
  const records = mergedRecords(captures, treeSource, contradictions);
  checkPlaces(captures, treeSource, contradictions);
  const tree = coverageOf(records, treeSource);
  const facts = mergeFacts(captures, treeSource, contradictions);
  return buildTopology({ ...facts, tree }, records);
}

const bestTree = (captures: readonly Topology[]): Topology =>
  captures.reduce((best, each) => {
    const byRank = RANK[each.facts.tree] - RANK[best.facts.tree];
    return byRank > 0 || (byRank === 0 && each.count > best.count) ? each : best;
  });

/** Captures without a function in common are of two machines, or of one whose addresses changed. */
function requireOverlap(captures: readonly Topology[], treeSource: Topology): void {
  const stranger = captures.find(
    (each) =>
      each.count > 0 &&
      treeSource.count > 0 &&
      each.table.bdf.every((bdf) => treeSource.indexOf(bdf) < 0),
  );
  if (stranger !== undefined) {
    throw refusedMerge(
      [stranger.facts.source, treeSource.facts.source],
      undefined,
      "they have no PCI function in common",
    );
  }
}

function mergedRecords(
  captures: readonly Topology[],
  treeSource: Topology,
  contradictions: Contradiction[],
): FunctionRecord[] {
  const isComplete = treeSource.facts.tree === "whole";
  const merged: FunctionRecord[] = [];
  for (const bdf of allAddresses(captures, treeSource)) {
    const witnesses = captures.flatMap((each): Witness[] => {
      const row = each.indexOf(bdf);
      return row < 0 ? [] : [{ source: each.facts.source, record: each.record(row) }];
    });
    const place = placeOf(captures, treeSource, bdf);
    if (place === undefined && isComplete) {
      contradictions.push(absence(bdf, treeSource, witnesses));
      continue;
    }
    merged.push({ ...mergeFunction(bdf, witnesses, contradictions), ...place });
  }
  return merged;
}

/** Every function, in the order in which the kernel has them on a bus as far as it is known. */
function allAddresses(captures: readonly Topology[], treeSource: Topology): string[] {
  const all = new Set([treeSource, ...captures].flatMap(({ table }) => table.bdf));
  const isOrdered = treeSource.facts.tree === "whole" || all.size === treeSource.count;
  return isOrdered ? [...all] : [...all].sort((one, other) => scanOrder(one, other));
}

function scanOrder(one: string, other: string): number {
  const [a, b] = [parseBdf(one) as Bdf, parseBdf(other) as Bdf];
  return a.domain - b.domain || a.bus - b.bus || a.devfn - b.devfn;
}

type Place = Pick<FunctionRecord, "parent" | "rootBus">;

/** Where a function stands: as the best tree has it, else as any capture with whole chains has it. */
function placeOf(
  captures: readonly Topology[],
  treeSource: Topology,
  bdf: string,
): Place | undefined {
  const knowing = [treeSource, ...captures.filter(hasEveryBridge)].find(
    (each) => each.indexOf(bdf) >= 0,
  );
  if (knowing === undefined) {
    return undefined;
  }
  const { parent, rootBus } = knowing.record(knowing.indexOf(bdf));
  return { ...(parent !== undefined && { parent }), ...(rootBus !== undefined && { rootBus }) };
}

const absence = (bdf: string, whole: Topology, witnesses: readonly Witness[]): Contradiction => ({
  fact: "presence",
  at: bdf,
  values: [
    { source: whole.facts.source, value: "not there" },
    ...witnesses.map(({ source }) => ({ source, value: "there" })),
  ],
});

/** A function of unknown place does no harm where the bus it is on is known; elsewhere it leaves a gap. */
function coverageOf(records: readonly FunctionRecord[], treeSource: Topology): TreeCoverage {
  const { tree } = treeSource.facts;
  if (tree !== "chains") {
    return tree;
  }
  const buses = new Set(treeSource.rootBuses.map(({ id }) => id));
  for (const { bdf, secondaryBus = 0 } of records) {
    if (secondaryBus > 0) {
      buses.add(formatBus((parseBdf(bdf) as Bdf).domain, secondaryBus));
    }
  }
  const isPlaced = records.every(({ bdf, parent }) => {
    const { domain, bus } = parseBdf(bdf) as Bdf;
    return parent !== undefined || buses.has(formatBus(domain, bus));
  });
  return isPlaced ? "chains" : "gaps";
}
