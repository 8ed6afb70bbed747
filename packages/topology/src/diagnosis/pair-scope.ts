/**
 * Pair scope: which ordered pairs a diagnosis is about.
 *
 * Memory to share is what accelerators have; where none is among the functions asked about (an NVMe drive's
 * controller memory, say), every function counts as a provider. No pair is a function with itself.
 */
import type { PathType } from "@peerbuf/core";
import type { AllPairs } from "../rules/all-pairs.ts";
import { PATH_TYPES } from "../rules/through-root.ts";
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

/** Every ordered pair of the scope, by row, with its verdict as a place in `PATH_TYPES`. Allocates nothing for a pair. */
export function eachVerdict(
  { rows, providers }: PairScope,
  pairs: AllPairs,
  visit: (provider: number, client: number, type: number) => void,
): void {
  const positions = rows.map((row) => pairs.positionOf(row));
  for (const provider of providers) {
    const position = pairs.positionOf(provider);
    for (let index = 0; index < rows.length; index++) {
      const client = rows[index] as number;
      if (provider !== client) {
        visit(provider, client, pairs.typeNumberAt(position, positions[index] as number));
      }
    }
  }
}

/** Pairs of the scope by verdict. */
export function countsOf(scope: PairScope, pairs: AllPairs): Record<PathType, number> {
  const counts = new Float64Array(PATH_TYPES.length);
  eachVerdict(scope, pairs, (_provider, _client, type) => {
    counts[type] = (counts[type] as number) + 1;
  });
  return countsByType(counts);
}

/** Counts in the order of `PATH_TYPES`, by name. */
export function countsByType(counts: Float64Array): Record<PathType, number> {
  const [busAddr = 0, hostBridge = 0, unsupported = 0, unknown = 0] = counts;
  return { "bus-addr": busAddr, "host-bridge": hostBridge, unsupported, unknown };
}
