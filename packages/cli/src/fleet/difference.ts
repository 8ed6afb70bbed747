/**
 * Difference: what one machine has otherwise than another, in words for a person.
 *
 * Facts are compared by place in the tree, so a card that is missing does not make everything after it
 * look different. A function that is missing or another one is told once, not fact by fact.
 */
import type { PathType } from "@peerbuf/core";
import { judgeAllPairs, type KernelRules, type Topology } from "@peerbuf/topology";
import { isInteresting, shortNames } from "../function-label.ts";
import { type Fact, factSheet, placesOf } from "./fact-sheet.ts";

export interface Difference {
  /** PCI address here, or there where there is nothing here; "" for the machine as a whole. */
  readonly at: string;
  readonly what: string;
  readonly here: string;
  readonly there: string;
}

const NOTHING = "nothing";

/** Facts that differ, in the order of the tree. */
export function differencesOf(here: Topology, there: Topology): Difference[] {
  const mine = factSheet(here);
  const theirs = factSheet(there);
  const differences: Difference[] = [];
  for (const [key, fact] of mine) {
    const other = theirs.get(key);
    if (other === undefined && isAboutPlace(fact)) {
      differences.push(difference(fact, fact.value, NOTHING));
    } else if (other !== undefined && other.value !== fact.value) {
      differences.push(difference(fact, fact.value, other.value));
    }
  }
  for (const [key, fact] of theirs) {
    if (!mine.has(key) && isAboutPlace(fact)) {
      differences.push(difference(fact, NOTHING, fact.value));
    }
  }
  return differences;
}

/** BARs come and go with the function that they belong to, which has an id on both machines then. */
const isAboutPlace = ({ what }: Fact): boolean => what === "id" || what.startsWith("BAR");

const difference = ({ at, what }: Fact, here: string, there: string): Difference => ({
  at,
  what,
  here,
  there,
});

/** Share of the places at which both have the same function, 0 to 1. */
export function likeness(here: Topology, there: Topology): number {
  const mine = factSheet(here);
  const theirs = factSheet(there);
  const ids = [...mine].filter(([, { what }]) => what === "id");
  const sameCount = ids.filter(([key, { value }]) => theirs.get(key)?.value === value).length;
  return sameCount / Math.max(ids.length, there.count, 1);
}

export interface PairDifference {
  readonly provider: string;
  readonly client: string;
  readonly here: PathType;
  readonly there: PathType;
}

/** Ordered pairs of GPUs, NICs and NVMe drives at the same places whose verdict differs. */
export function pairDifferences(
  here: Topology,
  there: Topology,
  rules: KernelRules,
): PairDifference[] {
  const rows = here.endpoints.filter((row) => isInteresting(here, row));
  const counterpart = counterpartsOf(here, there, rows);
  const mine = judgeAllPairs(here, rules, rows);
  const theirs = judgeAllPairs(there, rules, Int32Array.from(counterpart.values()));
  const names = shortNames(here);
  const changed: PairDifference[] = [];
  for (const [provider, otherProvider] of counterpart) {
    for (const [client, otherClient] of counterpart) {
      const ours = mine.typeAt(mine.positionOf(provider), mine.positionOf(client));
      const other = theirs.typeAt(theirs.positionOf(otherProvider), theirs.positionOf(otherClient));
      if (ours !== other && provider !== client) {
        changed.push({
          provider: names.get(provider) ?? "",
          client: names.get(client) ?? "",
          here: ours,
          there: other,
        });
      }
    }
  }
  return changed;
}

/** By row here: the row at the same place there, where it is the same device. */
function counterpartsOf(
  here: Topology,
  there: Topology,
  rows: Int32Array,
): ReadonlyMap<number, number> {
  const rowByPlace = new Map(placesOf(there).map((place, row) => [place, row]));
  const places = placesOf(here);
  const pairs = [...rows].flatMap((row): [number, number][] => {
    const other = rowByPlace.get(places[row] as string);
    const isSame =
      other !== undefined &&
      here.table.vendor[row] === there.table.vendor[other] &&
      here.table.device[row] === there.table.device[other];
    return isSame ? [[row, other]] : [];
  });
  return new Map(pairs);
}
