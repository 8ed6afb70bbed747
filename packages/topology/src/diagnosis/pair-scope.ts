/**
 * Pair scope: which ordered pairs a diagnosis is about.
 *
 * Memory to share is what accelerators have; where none is among the functions asked about (an NVMe drive's
 * controller memory, say), every function counts as a provider. No pair is a function with itself.
 */
import type { PathType } from "@peerbuf/core";
import type { AllPairs } from "../rules/all-pairs.ts";
import type { Topology } from "../topology.ts";
import { kindOf, sharingFunctions } from "./device-kind.ts";

export interface PairScope {
  /** Rows of all functions that take part, each once. */
  readonly rows: Int32Array;
  /** Rows of those whose memory is shared, in the order of `rows`. */
  readonly providers: Int32Array;
}

/** @param between rows asked about; left out: accelerators, NICs and NVMe drives */
export function scopeOf(
  topology: Topology,
  between: Iterable<number> = sharingFunctions(topology),
): PairScope {
  const rows = Int32Array.from(new Set(between));
  const accelerators = rows.filter((row) => kindOf(topology, row) === "accelerator");
  return { rows, providers: accelerators.length > 0 ? accelerators : rows };
}

/** The scope with one pair in it for certain. */
export const withPair = (scope: PairScope, provider: number, client: number): PairScope => ({
  rows: Int32Array.from(new Set([...scope.rows, provider, client])),
  providers: Int32Array.from(new Set([...scope.providers, provider])),
});

/** Every ordered pair of the scope, by row. */
export function eachPair(
  { rows, providers }: PairScope,
  visit: (provider: number, client: number) => void,
): void {
  for (const provider of providers) {
    for (const client of rows) {
      if (provider !== client) {
        visit(provider, client);
      }
    }
  }
}

/** Pairs of the scope by verdict. */
export function countsOf(scope: PairScope, pairs: AllPairs): Record<PathType, number> {
  const counts = { "bus-addr": 0, "host-bridge": 0, unsupported: 0, unknown: 0 };
  eachPair(scope, (provider, client) => {
    counts[typeOf(pairs, provider, client)] += 1;
  });
  return counts;
}

export const typeOf = (pairs: AllPairs, provider: number, client: number): PathType =>
  pairs.typeAt(pairs.positionOf(provider), pairs.positionOf(client));
