/**
 * Harmful redirects: the ports whose ACS redirect sends traffic of the shown devices the long way.
 *
 * A redirect counts on the ways from two functions up to and including the bridge where they meet, and
 * nowhere else. So a port is to blame when something shown hangs beside its subtree below a bridge, or
 * when two shown functions meet in it. A redirect on a root port with one switch below harms nobody.
 */
import { type KernelRules, redirectAnswer, type Topology } from "@peerbuf/topology";
import type { TreeNode } from "./machine-tree.ts";

/** Rows of the ports to blame. Time grows with the nodes of the tree. */
export function harmfulRedirects(
  topology: Topology,
  rules: KernelRules,
  root: TreeNode,
): ReadonlySet<number> {
  const harmful = new Set<number>();
  const visit = (node: TreeNode, hasNeighbours: boolean): void => {
    const isMeetingPoint = node.kind === "bridge" && branchCount(node) > 1;
    const isOnSomeWay = hasNeighbours || isMeetingPoint;
    const rows = node.kind === "device" ? node.rows : node.kind === "bridge" ? [node.row] : [];
    for (const row of rows) {
      if (isOnSomeWay && redirectAnswer(topology, rules, row) === "yes") {
        harmful.add(row);
      }
    }
    for (const child of node.children) {
      visit(child, hasNeighbours || isMeetingPoint);
    }
  };
  visit(root, false);
  return harmful;
}

/** Branches directly below: two make a meeting point. */
const branchCount = ({ children }: TreeNode): number =>
  children.reduce(
    (sum: number, child: TreeNode) => sum + (child.kind === "device" ? child.rows.length : 1),
    0,
  );
