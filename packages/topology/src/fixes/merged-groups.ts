/**
 * Merged groups: the IOMMU groups that a change makes into one.
 *
 * Computed before and after, not taken from the capture: a capture made with the IOMMU off has no groups,
 * and the price is due all the same once it is on.
 */
import type { Topology } from "../topology.ts";
import type { MergedGroup } from "./fix.ts";
import { iommuGroupsOf } from "./iommu-groups.ts";

/** Undefined where groups cannot be computed. Rows mean the same functions on both sides. */
export function mergedBy(before: Topology, after: Topology): MergedGroup[] | undefined {
  const old = iommuGroupsOf(before);
  const fresh = iommuGroupsOf(after);
  if (old === undefined || fresh === undefined) {
    return undefined;
  }
  return [...rowsByGroup(fresh).values()].flatMap((rows) => {
    const parts = rowsByGroup(old, rows);
    return parts.size < 2
      ? []
      : [
          {
            members: names(before, rows),
            from: [...parts.values()].map((part) => names(before, part)),
          },
        ];
  });
}

function rowsByGroup(
  groups: Int32Array,
  among: Iterable<number> = groups.keys(),
): Map<number, number[]> {
  const rows = new Map<number, number[]>();
  for (const row of among) {
    const group = groups[row] as number;
    const members = rows.get(group) ?? [];
    rows.set(group, members);
    members.push(row);
  }
  return rows;
}

const names = (topology: Topology, rows: readonly number[]): string[] =>
  rows.map((row) => topology.bdfOf(row));
