/**
 * Picture layout: where each node of the machine tree stands, in pixels.
 *
 * The tree grows from left to right, so that names can be read without turning one's head; devices
 * stand in one column at the right, like the rows of a table. d3-hierarchy places the rows.
 */
import { cluster, type HierarchyPointNode, hierarchy } from "d3-hierarchy";
import { shortNames } from "../function-label.ts";
import type { TreeNode } from "./machine-tree.ts";
import { type NodeFace, nodeFace } from "./node-face.ts";
import { textWidth } from "./text-width.ts";
import type { TreeView } from "./tree-text.ts";

/** Pixels. */
export const LAYOUT = {
  MARGIN: 32,
  HEAD: 92,
  FOOT: 84,
  ROW: 46,
  NODE: 36,
  COLUMN_GAP: 44,
  DEVICE_WIDTH: 392,
  BADGE_GAP: 18,
  BADGE: 30,
} as const;

export interface PlacedNode {
  readonly node: TreeNode;
  readonly face: NodeFace;
  /** The left edge and the middle line. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly parent?: PlacedNode;
  /** First and last line of everything below, for bands. */
  readonly top: number;
  readonly bottom: number;
}

export interface PictureLayout {
  readonly width: number;
  readonly height: number;
  /** Parents before children; the machine itself is not among them. */
  readonly nodes: readonly PlacedNode[];
  /** The left edge of the devices. */
  readonly deviceX: number;
}

export function layOut(view: TreeView): PictureLayout {
  const names = shortNames(view.topology);
  const points = cluster<TreeNode>().nodeSize([LAYOUT.ROW, 1]).separation(separation)(
    hierarchy<TreeNode>(view.root, (node) => node.children),
  );
  const faces = new Map<TreeNode, NodeFace>();
  points.each(({ data }) => faces.set(data, nodeFace(view, names, data)));
  const columns = columnsOf(points, faces);
  const lowest = Math.min(...points.leaves().map(({ x }) => x));
  const highest = Math.max(...points.leaves().map(({ x }) => x));
  const top = LAYOUT.MARGIN + LAYOUT.HEAD + LAYOUT.ROW / 2 - lowest;
  return {
    width:
      columns.deviceX + LAYOUT.DEVICE_WIDTH + LAYOUT.BADGE_GAP + LAYOUT.BADGE + LAYOUT.MARGIN * 2,
    height: top + highest + LAYOUT.ROW / 2 + LAYOUT.FOOT,
    nodes: placed(points, faces, columns, top),
    deviceX: columns.deviceX,
  };
}

/** In rows: close below one bridge, apart between NUMA nodes. */
function separation(one: TreePoint, other: TreePoint): number {
  if (one.parent === other.parent) {
    return 1;
  }
  return topOf(one) === topOf(other) ? 1.12 : 1.45;
}

type TreePoint = HierarchyPointNode<TreeNode>;

/** The ancestor right below the machine. */
const topOf = (point: TreePoint): TreePoint => point.ancestors().at(-2) ?? point;

interface Columns {
  /** By depth: left edge and width. */
  readonly left: readonly number[];
  readonly width: readonly number[];
  readonly deviceX: number;
}

function columnsOf(
  points: HierarchyPointNode<TreeNode>,
  faces: ReadonlyMap<TreeNode, NodeFace>,
): Columns {
  const width: number[] = [];
  points.each(({ data, depth }) => {
    if (data.kind !== "device" && data.kind !== "machine") {
      width[depth] = Math.max(width[depth] ?? 0, boxWidth(faces.get(data) as NodeFace));
    }
  });
  const left: number[] = [];
  let x = LAYOUT.MARGIN + 16;
  for (let depth = 1; depth < width.length; depth++) {
    left[depth] = x;
    x += (width[depth] ?? 0) + LAYOUT.COLUMN_GAP;
  }
  return { left, width, deviceX: x + 8 };
}

/** Wide enough for both of its lines. */
function boxWidth({ title, detail, acs, link }: NodeFace): number {
  const second = [detail, link?.now ?? "", acs?.text ?? ""].filter((text) => text !== "");
  return Math.max(textWidth(title, 13), textWidth(second.join(" · "), 10.5)) + 26;
}

function placed(
  points: HierarchyPointNode<TreeNode>,
  faces: ReadonlyMap<TreeNode, NodeFace>,
  columns: Columns,
  top: number,
): PlacedNode[] {
  const byPoint = new Map<HierarchyPointNode<TreeNode>, PlacedNode>();
  points.eachBefore((point) => {
    const { data, depth, x } = point;
    if (data.kind === "machine") {
      return;
    }
    const lines = point.leaves().map((leaf) => leaf.x + top);
    const parent = point.parent === null ? undefined : byPoint.get(point.parent);
    const isDevice = data.kind === "device";
    byPoint.set(point, {
      node: data,
      face: faces.get(data) as NodeFace,
      x: isDevice ? columns.deviceX : (columns.left[depth] as number),
      y: x + top,
      width: isDevice ? LAYOUT.DEVICE_WIDTH : (columns.width[depth] as number),
      ...(parent !== undefined && { parent }),
      top: Math.min(...lines),
      bottom: Math.max(...lines),
    });
  });
  return [...byPoint.values()];
}
