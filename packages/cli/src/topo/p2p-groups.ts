/**
 * P2P groups: functions that reach each other below the root complex.
 *
 * The relation "bus-addr both ways" is transitive: the way from A to C uses only ports that are on the
 * ways from A to B and from B to C, and none of these redirects. So the functions fall into groups, and
 * what two groups are to each other is the same for all their members.
 */
import type { PathType } from "@peerbuf/core";
import { type AllPairs, judgeAllPairs, type KernelRules, type Topology } from "@peerbuf/topology";

export interface P2pGroup {
  /** `A`, `B`, ... `Z`, `A2`, ... in order of the first member. */
  readonly name: string;
  /** At least two. */
  readonly rows: readonly number[];
}

export interface P2pGroups {
  readonly groups: readonly P2pGroup[];
  readonly groupByRow: ReadonlyMap<number, P2pGroup>;
  readonly pairs: AllPairs;
}

const LETTERS = 26;

/** @throws InputError above `ALL_PAIRS_COUNT_MAX` functions */
export function p2pGroups(topology: Topology, rules: KernelRules, rows: Int32Array): P2pGroups {
  const pairs = judgeAllPairs(topology, rules, rows);
  const leaders: { readonly at: number; readonly rows: number[] }[] = [];
  for (const row of rows) {
    const at = pairs.positionOf(row);
    const own = leaders.find((leader) => isBothWays(pairs, leader.at, at));
    if (own === undefined) {
      leaders.push({ at, rows: [row] });
    } else {
      own.rows.push(row);
    }
  }
  const groups = leaders
    .filter((leader) => leader.rows.length > 1)
    .map((leader, index) => ({ name: groupName(index), rows: leader.rows }));
  const groupByRow = new Map(groups.flatMap((group) => group.rows.map((row) => [row, group])));
  return { groups, groupByRow, pairs };
}

const isBothWays = (pairs: AllPairs, one: number, other: number): boolean =>
  pairs.typeAt(one, other) === "bus-addr" && pairs.typeAt(other, one) === "bus-addr";

function groupName(index: number): string {
  const letter = String.fromCharCode(65 + (index % LETTERS));
  const round = Math.floor(index / LETTERS);
  return round === 0 ? letter : `${letter}${round + 1}`;
}

/** From most to least: what a person wants to know of a link that several pairs use. */
const BEST_FIRST: readonly PathType[] = ["bus-addr", "host-bridge", "unknown", "unsupported"];

/** The better of two verdicts. */
export const betterType = (one: PathType | undefined, other: PathType): PathType =>
  one === undefined || BEST_FIRST.indexOf(other) < BEST_FIRST.indexOf(one) ? other : one;
