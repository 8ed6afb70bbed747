/**
 * Edge types: for each link of the tree, the best that any of the chosen pairs gets through it.
 *
 * A pair uses the links from both functions up to where its traffic turns round: the common bridge for
 * bus-addr, the root bus for everything else.
 */
import type { PathType } from "@peerbuf/core";
import { type Topology, walkPair } from "@peerbuf/topology";
import { betterType, type P2pGroups } from "./p2p-groups.ts";

/** Functions of which every pair is walked, at most; above, links are drawn without colour. */
const WALKED_MAX = 1024;

/** By row: the type of the link above it. A row that no pair uses is not in it. */
export function edgeTypes(
  topology: Topology,
  rows: Int32Array,
  { pairs }: P2pGroups,
): ReadonlyMap<number, PathType> {
  const types = new Map<number, PathType>();
  if (rows.length > WALKED_MAX) {
    return types;
  }
  for (const provider of rows) {
    for (const client of rows) {
      if (provider !== client) {
        const type = pairs.typeAt(pairs.positionOf(provider), pairs.positionOf(client));
        markWay(topology, types, provider, client, type);
      }
    }
  }
  return types;
}

function markWay(
  topology: Topology,
  types: Map<number, PathType>,
  provider: number,
  client: number,
  type: PathType,
): void {
  const { providerSide, clientSide, common } = walkPair(topology, provider, client);
  const turning = type === "bus-addr" ? common : -1;
  for (const row of [...providerSide, ...clientSide]) {
    if (row !== turning) {
      types.set(row, betterType(types.get(row), type));
    }
  }
  const above = turning >= 0 || common < 0 ? -1 : topology.upstreamOf(common);
  for (let row = above; row >= 0; row = topology.upstreamOf(row)) {
    types.set(row, betterType(types.get(row), type));
  }
}
