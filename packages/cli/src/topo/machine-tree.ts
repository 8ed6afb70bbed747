/**
 * Machine tree: what `topo` shows of a machine, from the sockets down to the devices.
 *
 * Levels: machine, NUMA nodes (where the capture knows them), root buses, bridges, devices. Bridges that
 * lead to nothing shown are left out. Functions on one bus that are alike (the virtual functions of a
 * card, a shelf of equal drives that are in the same group) are folded into one node that counts them.
 */
import type { RootBus, Topology } from "@peerbuf/topology";
import { kindName } from "../function-label.ts";
import type { P2pGroups } from "./p2p-groups.ts";

export type TreeNode =
  | { readonly kind: "machine"; readonly children: readonly TreeNode[] }
  | { readonly kind: "numa"; readonly node: number; readonly children: readonly TreeNode[] }
  | { readonly kind: "root-bus"; readonly root: RootBus; readonly children: readonly TreeNode[] }
  | { readonly kind: "bridge"; readonly row: number; readonly children: readonly TreeNode[] }
  | DeviceNode;

export interface DeviceNode {
  readonly kind: "device";
  /** The first of them. */
  readonly row: number;
  /** All that stand here, at least one. */
  readonly rows: readonly number[];
  readonly children: readonly [];
}

/** Alike functions on one bus stay apart up to here. */
const ALIKE_MAX = 4;

/** @param rows the functions to show, in row order */
export function machineTree(topology: Topology, rows: Int32Array, groups: P2pGroups): TreeNode {
  const shown = new Set(rows);
  const below = new Map<number, number[]>();
  const onRoot = new Map<RootBus, number[]>();
  const seen = new Set<number>();
  for (let row of rows) {
    while (row >= 0 && !seen.has(row)) {
      seen.add(row);
      const parent = topology.parentOf(row);
      if (parent < 0) {
        entryOf(onRoot, topology.rootBusOf(row)).push(row);
      } else {
        entryOf(below, parent).push(row);
      }
      row = parent;
    }
  }
  const nodesOf = (list: readonly number[]): TreeNode[] => {
    const bridges = list.filter((row) => !shown.has(row));
    const devices = folded(
      topology,
      list.filter((row) => shown.has(row)),
      groups,
    );
    return [
      ...devices,
      ...bridges.map(
        (row): TreeNode => ({ kind: "bridge", row, children: nodesOf(below.get(row) ?? []) }),
      ),
    ].sort((one, other) => rowOf(one) - rowOf(other));
  };
  const roots = topology.rootBuses
    .filter((root) => onRoot.has(root))
    .map(
      (root): TreeNode => ({ kind: "root-bus", root, children: nodesOf(onRoot.get(root) ?? []) }),
    );
  return { kind: "machine", children: byNumaNode(topology, roots) };
}

function entryOf<Key>(map: Map<Key, number[]>, key: Key): number[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}

const rowOf = (node: TreeNode): number => ("row" in node ? node.row : -1);

/** Functions that nobody needs to tell apart become one node. */
function folded(topology: Topology, rows: readonly number[], groups: P2pGroups): DeviceNode[] {
  const byLook = new Map<string, number[]>();
  for (const row of rows) {
    const { vendor, device, physicalFunction } = topology.table;
    const look = [
      kindName(topology, row),
      vendor[row],
      device[row],
      physicalFunction[row],
      groups.groupByRow.get(row)?.name,
    ].join(" ");
    entryOf(byLook, look).push(row);
  }
  return [...byLook.values()].flatMap((alike) =>
    alike.length > ALIKE_MAX ? [deviceNode(alike)] : alike.map((row) => deviceNode([row])),
  );
}

const deviceNode = (rows: readonly number[]): DeviceNode => ({
  kind: "device",
  row: rows[0] as number,
  rows,
  children: [],
});

/** Root buses under their NUMA nodes, in order; as they are where the capture knows no node. */
function byNumaNode(topology: Topology, roots: readonly TreeNode[]): TreeNode[] {
  const byNode = new Map<number, TreeNode[]>();
  for (const root of roots) {
    const node = root.kind === "root-bus" ? numaNodeOf(topology, root.root) : -1;
    byNode.set(node, [...(byNode.get(node) ?? []), root]);
  }
  return [...byNode]
    .sort(([one], [other]) => one - other)
    .flatMap(([node, children]): TreeNode[] =>
      node < 0 ? children : [{ kind: "numa", node, children }],
    );
}

/** The node on which all functions of the root bus agree, -1 when they do not say. */
export function numaNodeOf(topology: Topology, root: RootBus): number {
  const nodes = new Set(
    [...root.functions]
      .map((row) => topology.table.numaNode[row] as number)
      .filter((node) => node >= 0),
  );
  const [only] = nodes;
  return nodes.size === 1 ? (only as number) : -1;
}
