/**
 * Tree text: the machine tree as lines for a terminal.
 *
 * The tree stands on the left, what is known of each function in aligned columns beside it. Redirecting
 * ports are red; members of one P2P group carry its letter.
 */
import type { DeviceNames, KernelRules, Topology } from "@peerbuf/topology";
import { shortBdf, shortNames } from "../function-label.ts";
import type { Paint } from "../paint.ts";
import { visibleLength } from "../wrap.ts";
import type { TreeNode } from "./machine-tree.ts";
import { type NodeFace, nodeFace } from "./node-face.ts";
import type { P2pGroups } from "./p2p-groups.ts";

/** What is drawn, for text and picture alike. */
export interface TreeView {
  readonly topology: Topology;
  readonly rules: KernelRules;
  readonly rows: Int32Array;
  readonly root: TreeNode;
  readonly groups: P2pGroups;
  /** Ports whose redirect is on the way between two of the rows. */
  readonly harmful: ReadonlySet<number>;
  /** What people call devices. */
  readonly models: DeviceNames;
}

/** One line a node, without the machine itself. */
export function treeLines(paint: Paint, view: TreeView): string[] {
  const names = shortNames(view.topology);
  const lines: string[][] = [];
  const draw = (nodes: readonly TreeNode[], indent: string): void => {
    nodes.forEach((node, index) => {
      const isLast = index === nodes.length - 1;
      const cells = cellsOf(paint, view, nodeFace(view, names, node));
      lines.push([paint.faint(`${indent}${isLast ? "└─" : "├─"} `) + cells[0], ...cells.slice(1)]);
      draw(node.children, `${indent}${isLast ? "   " : "│  "}`);
    });
  };
  draw(view.root.children, "");
  return aligned(lines);
}

function cellsOf(paint: Paint, { groups }: TreeView, face: NodeFace): string[] {
  const { title, detail, link, acs, device } = face;
  const acsText =
    acs?.state === "redirects"
      ? paint.bad(acs.text)
      : acs?.state === "unknown"
        ? paint.fair(acs.text)
        : paint.faint(acs?.text ?? "");
  const group = device === undefined ? undefined : groups.groupByRow.get(device.row);
  const best = link?.best === undefined ? "" : ` of ${link.best}`;
  const linkText = `${link?.now ?? ""}${best}`;
  return [
    device === undefined ? paint.strong(title) : `${paint.name(title)} ${shortBdf(face.bdf ?? "")}`,
    detail,
    link?.isNarrow === true ? paint.fair(linkText) : paint.faint(linkText),
    group === undefined ? acsText : `${acsText}${paint.good(`group ${group.name}`)}`,
  ];
}

function aligned(lines: readonly (readonly string[])[]): string[] {
  const count = Math.max(...lines.map((cells) => cells.length), 0);
  const widths = Array.from({ length: count }, (_, column) =>
    lines.reduce((widest, cells) => Math.max(widest, visibleLength(cells[column] ?? "")), 0),
  );
  return lines.map((cells) =>
    cells
      .map((cell, column) => cell + " ".repeat((widths[column] as number) - visibleLength(cell)))
      .join("  ")
      .trimEnd(),
  );
}
