/**
 * Pair by pair: the kernel's procedure as it stands, run for every ordered pair.
 *
 * The plain algorithm: two nested walks up to the common function, as in `calc_map_type_and_dist()`
 * (6.12). It is the baseline against which `judgeAllPairs` is measured, and gives the same cells.
 */
import { ACS_PRESENT, ACS_UNKNOWN } from "../function-table.ts";
import type { Topology } from "../topology.ts";
import { AllPairs, pairsWithoutTree, TYPE_BITS } from "./all-pairs.ts";
import { hasEveryBridge } from "./judge-pair.ts";
import type { KernelRules } from "./kernel-rules.ts";
import { BUS_ADDR, throughRootTypes, UNKNOWN } from "./through-root.ts";

/** The same table as `judgeAllPairs`, slowly, in the order of `among`. */
export function judgePairByPair(
  topology: Topology,
  rules: KernelRules,
  among: Int32Array = topology.endpoints,
): AllPairs {
  if (!hasEveryBridge(topology)) {
    return pairsWithoutTree(topology, rules, among);
  }
  const walk = new PairWalk(topology, rules);
  const cells = new Uint16Array(among.length ** 2);
  let next = 0;
  for (const provider of among) {
    for (const client of among) {
      cells[next++] = walk.cellOf(provider, client);
    }
  }
  return new AllPairs(among, cells, topology.count);
}

class PairWalk {
  readonly #upstream: Int32Array;
  readonly #acsState: Uint8Array;
  readonly #acsControl: Uint16Array;
  readonly #redirectMask: number;
  readonly #rootBus: Uint16Array;
  readonly #rootCount: number;
  readonly #throughRoot: Uint8Array;

  constructor(topology: Topology, rules: KernelRules) {
    this.#upstream = Int32Array.from(topology.table.bdf.keys(), (row) => topology.upstreamOf(row));
    this.#acsState = topology.table.acsState;
    this.#acsControl = topology.table.acsControl;
    this.#redirectMask = rules.redirectMask;
    this.#rootBus = topology.table.rootBus;
    this.#rootCount = topology.rootBuses.length;
    this.#throughRoot = throughRootTypes(topology, rules);
  }

  cellOf(provider: number, client: number): number {
    let distance = 0;
    let isRedirected = false;
    let isUnread = false;
    let clientLength = 0;
    for (let above = provider; above >= 0; above = this.#upstream[above] as number) {
      isRedirected ||= this.#redirects(above);
      isUnread ||= this.#acsState[above] === ACS_UNKNOWN;
      clientLength = 0;
      for (let below = client; below >= 0; below = this.#upstream[below] as number) {
        if (above === below) {
          return this.#cellWithCommon(
            client,
            above,
            distance + clientLength,
            isRedirected,
            isUnread,
          );
        }
        clientLength += 1;
      }
      distance += 1;
    }
    return ((distance + clientLength) << TYPE_BITS) | this.#through(provider, client);
  }

  #cellWithCommon(
    client: number,
    common: number,
    distance: number,
    redirectedAbove: boolean,
    unreadAbove: boolean,
  ): number {
    let isRedirected = redirectedAbove;
    let isUnread = unreadAbove;
    for (let below = client; below !== common; below = this.#upstream[below] as number) {
      isRedirected ||= this.#redirects(below);
      isUnread ||= this.#acsState[below] === ACS_UNKNOWN;
    }
    const turning = isUnread ? UNKNOWN : BUS_ADDR;
    const type = isRedirected ? this.#through(common, common) : turning;
    return (distance << TYPE_BITS) | type;
  }

  #redirects(row: number): boolean {
    return (
      this.#acsState[row] === ACS_PRESENT &&
      ((this.#acsControl[row] as number) & this.#redirectMask) !== 0
    );
  }

  #through(provider: number, client: number): number {
    const rootBus = this.#rootBus[provider] as number;
    return this.#throughRoot[
      rootBus * this.#rootCount + (this.#rootBus[client] as number)
    ] as number;
  }
}
