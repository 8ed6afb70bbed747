/**
 * Depth first: the functions of a machine in an order in which everything below a bridge is one range.
 */
import { assert } from "@peerbuf/core";
import type { Topology } from "../topology.ts";

/** Functions in depth-first order of the kernel's upstream relation. */
export interface DepthFirst {
  /** All functions, parents first. */
  readonly nodes: Int32Array;
  /** Those asked about, in the same order. */
  readonly members: Int32Array;
  /** By row: members below or at it are `members[first[row] .. last[row])`. */
  readonly first: Int32Array;
  readonly last: Int32Array;
}

export function depthFirst(topology: Topology, among: Int32Array): DepthFirst {
  const { count } = topology;
  const isMember = new Uint8Array(count);
  for (const row of among) {
    isMember[row] = 1;
  }
  const below = linksBelow(topology);
  const nodes = new Int32Array(count);
  const members = new Int32Array(among.length);
  const first = new Int32Array(count);
  const last = new Int32Array(count);
  let nodeCount = 0;
  let memberCount = 0;
  // Goes down by the first link, then along, then up and along: no recursion, no stack.
  let row = below.top;
  while (row >= 0) {
    nodes[nodeCount++] = row;
    first[row] = memberCount;
    if (isMember[row] === 1) {
      members[memberCount++] = row;
    }
    let next = below.child[row] as number;
    while (next < 0 && row >= 0) {
      last[row] = memberCount;
      next = below.sibling[row] as number;
      row = next < 0 ? topology.upstreamOf(row) : row;
    }
    row = next;
  }
  assert(nodeCount === count && memberCount === among.length, "every function is visited once");
  return { nodes, members, first, last };
}

/** First child and next sibling of every row; tops are siblings of each other. */
function linksBelow(topology: Topology) {
  const child = new Int32Array(topology.count).fill(-1);
  const sibling = new Int32Array(topology.count).fill(-1);
  let top = -1;
  for (let row = topology.count - 1; row >= 0; row--) {
    const parent = topology.upstreamOf(row);
    sibling[row] = parent < 0 ? top : (child[parent] as number);
    if (parent < 0) {
      top = row;
    } else {
      child[parent] = row;
    }
  }
  return { top, child, sibling };
}
