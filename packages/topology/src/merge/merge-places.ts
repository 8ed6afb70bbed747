/**
 * Merge places: do the trees of several captures agree on what stands below what?
 */
import type { Contradiction } from "../machine-facts.ts";
import { hasEveryBridge } from "../rules/judge-pair.ts";
import type { Topology } from "../topology.ts";
import { refusedMerge } from "./witness.ts";

/**
 * Compares every capture with the one whose tree is kept.
 * @throws InputError when two captures that have every bridge put a function below different ones
 */
export function checkPlaces(
  captures: readonly Topology[],
  treeSource: Topology,
  contradictions: Contradiction[],
): void {
  for (const capture of captures) {
    if (capture !== treeSource && capture.facts.tree !== "none") {
      compareTrees(capture, treeSource, contradictions);
    }
  }
}

function compareTrees(
  capture: Topology,
  treeSource: Topology,
  contradictions: Contradiction[],
): void {
  for (const [row, bdf] of capture.table.bdf.entries()) {
    const same = treeSource.indexOf(bdf);
    if (same < 0) {
      continue;
    }
    const [here, there] = [nameOfParent(capture, row), nameOfParent(treeSource, same)];
    if (hasEveryBridge(capture) && hasEveryBridge(treeSource)) {
      requireSame(bdf, here, there, capture, treeSource);
    } else if (capture.parentOf(row) >= 0 && isDenied(treeSource, same, here)) {
      contradictions.push({
        fact: "bridge above",
        at: bdf,
        values: [
          { source: treeSource.facts.source, value: there },
          { source: capture.facts.source, value: here },
        ],
      });
    }
  }
}

function nameOfParent(topology: Topology, row: number): string {
  const parent = topology.parentOf(row);
  return parent < 0 ? `root bus ${topology.rootBusOf(row).id}` : topology.bdfOf(parent);
}

function requireSame(
  bdf: string,
  here: string,
  there: string,
  capture: Topology,
  treeSource: Topology,
): void {
  if (here !== there) {
    throw refusedMerge(
      [capture.facts.source, treeSource.facts.source],
      bdf,
      `it is below ${here} in the one and below ${there} in the other`,
    );
  }
}

/** A tree with gaps names some bridge above, not the next one; it is denied where that bridge is known elsewhere. */
function isDenied(treeSource: Topology, row: number, bridge: string): boolean {
  if (treeSource.indexOf(bridge) < 0) {
    return false;
  }
  for (let at = treeSource.parentOf(row); at >= 0; at = treeSource.parentOf(at)) {
    if (treeSource.bdfOf(at) === bridge) {
      return false;
    }
  }
  return true;
}
