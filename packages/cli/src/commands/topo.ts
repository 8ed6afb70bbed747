/**
 * Topo: the machine as a tree, in text or as a picture, with what peer traffic can do on it.
 */
import type { KernelRules, Topology } from "@peerbuf/topology";
import { Command } from "commander";
import { rowsBetween } from "../between.ts";
import { columns } from "../columns.ts";
import { emptyAnswer } from "../empty-answer.ts";
import { describeFunction, shortNames } from "../function-label.ts";
import { addMachineOptions, type MachineChoice, openMachine } from "../machine-source.ts";
import { pathFrom } from "../path-from.ts";
import { saveFile } from "../save-file.ts";
import type { Session } from "../session.ts";
import { harmfulRedirects } from "../topo/harmful-redirects.ts";
import { machineTree, type TreeNode } from "../topo/machine-tree.ts";
import { type P2pGroups, p2pGroups } from "../topo/p2p-groups.ts";
import { pngOf } from "../topo/png.ts";
import { requireDrawable, treePicture } from "../topo/tree-picture.ts";
import { type TreeView, treeLines } from "../topo/tree-text.ts";

interface TopoOptions extends MachineChoice {
  readonly all?: boolean;
  readonly between?: string;
  readonly json?: boolean;
  readonly svg?: string;
  readonly png?: string;
}

export function topoCommand(session: Session): Command {
  return addMachineOptions(new Command("topo"))
    .description("the machine as a tree: sockets, switches, devices, and which reach each other")
    .option("-a, --all", "every function that is no bridge, not only GPUs, NICs and NVMe drives")
    .option("-b, --between <names>", "only these: kinds (gpu,nic,nvme) or names, with commas")
    .option("--svg <file>", "draw it as SVG")
    .option("--png <file>", "draw it as PNG")
    .option("--json", "the same as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf topo --png machine.png\n\nExit code: 0, whatever the verdicts are.",
    )
    .action(async (options: TopoOptions) => topo(session, options));
}

async function topo(session: Session, options: TopoOptions): Promise<void> {
  const { topology, rules } = await openMachine(options, session.io.cwd);
  const rows = options.all === true ? topology.endpoints : rowsBetween(topology, options.between);
  const groups = p2pGroups(topology, rules, rows);
  const root = machineTree(topology, rows, groups);
  const harmful = harmfulRedirects(topology, rules, root);
  const models = await session.names();
  const view = { topology, rules, rows, root, groups, harmful, models };
  const files = draw(session, options, view);
  if (options.json === true) {
    await session.printJson(asJson(view));
  } else if (files.length > 0) {
    await session.printLines(files.map((path) => `${path} is written.`));
  } else {
    await session.printLines(asLines(session, view));
  }
}

/** Writes the pictures that are asked for. Returns their paths. */
function draw(session: Session, { svg, png }: TopoOptions, view: TreeView): string[] {
  if (svg === undefined && png === undefined) {
    return [];
  }
  requireDrawable(view);
  const picture = treePicture(view, titleOf(view.topology, view.rules, view.rows));
  const files: string[] = [];
  for (const [path, bytesOf] of [
    [svg, () => picture],
    [png, () => pngOf(picture)],
  ] as const) {
    if (path !== undefined) {
      saveFile(pathFrom(session.io.cwd, path), bytesOf());
      files.push(path);
    }
  }
  return files;
}

function titleOf(topology: Topology, rules: KernelRules, rows: Int32Array): [string, string] {
  const { source, cpu, kernelRelease } = topology.facts;
  const facts = [
    cpu?.modelName,
    kernelRelease === undefined ? undefined : `Linux ${kernelRelease}`,
    `${rows.length} devices`,
    `by the rules of ${rules.name}`,
  ];
  return [source, facts.filter((fact) => fact !== undefined).join(" · ")];
}

function asLines(session: Session, view: TreeView): string[] {
  const { paint } = session;
  const { topology, rules, rows, groups } = view;
  const [name, facts] = titleOf(topology, rules, rows);
  if (rows.length === 0) {
    return [paint.strong(name), paint.faint(facts), "", emptyAnswer(topology, 0).text];
  }
  return [
    paint.strong(name),
    paint.faint(facts),
    "",
    ...treeLines(paint, view),
    "",
    ...groupLines(session, topology, groups),
  ];
}

function groupLines(
  { paint }: Session,
  topology: Topology,
  { groups, pairs }: P2pGroups,
): string[] {
  const isOpen = pairs.counts().unknown > 0;
  if (groups.length === 0) {
    const what = isOpen ? "are known to reach" : "reach";
    return [`No two of these devices ${what} each other below the root complex.`];
  }
  const names = shortNames(topology);
  return [
    `Peer to peer below the root complex${isOpen ? ", as far as known" : ""}:`,
    ...columns(
      groups.map(({ name, rows }) => [
        paint.good(`group ${name}`),
        membersText(rows.map((row) => names.get(row) ?? "")),
      ]),
      { indent: 2 },
    ),
    paint.faint("Between groups: peerbuf matrix. Why: peerbuf explain A B"),
  ];
}

/** Members named; the rest is counted, and whole in the JSON. */
const MEMBERS_SHOWN = 16;

function membersText(members: readonly string[]): string {
  const rest = members.length - MEMBERS_SHOWN;
  const shown = members.slice(0, MEMBERS_SHOWN).join(" ");
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

function asJson({ topology, rules, root, groups }: TreeView): unknown {
  const names = shortNames(topology);
  const asNode = (node: TreeNode): unknown => ({
    kind: node.kind,
    ...(node.kind === "numa" && { numaNode: node.node }),
    ...(node.kind === "root-bus" && { rootBus: node.root.id }),
    ...(node.kind === "bridge" && {
      bdf: topology.bdfOf(node.row),
      label: describeFunction(topology, node.row),
    }),
    ...(node.kind === "device" && {
      functions: node.rows.map((row) => ({
        bdf: topology.bdfOf(row),
        name: names.get(row),
        label: describeFunction(topology, row),
      })),
    }),
    children: node.children.map(asNode),
  });
  return {
    kernel: rules.version,
    groups: groups.groups.map(({ name, rows }) => ({
      name,
      functions: rows.map((row) => topology.bdfOf(row)),
    })),
    tree: asNode(root),
  };
}
