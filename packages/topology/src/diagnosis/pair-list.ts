/**
 * Pair list: ordered pairs of a finding, all counted and the first ones listed.
 */
import type { Topology } from "../topology.ts";
import { PAIRS_LISTED_MAX, type PairName } from "./finding.ts";

export class PairList {
  readonly listed: PairName[] = [];
  count = 0;
  readonly #topology: Topology;

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  add(provider: number, client: number): void {
    this.count += 1;
    if (this.listed.length < PAIRS_LISTED_MAX) {
      this.listed.push({
        provider: this.#topology.bdfOf(provider),
        client: this.#topology.bdfOf(client),
      });
    }
  }
}
