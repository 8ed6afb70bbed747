/** Node face: what is written on a node of the machine tree, in text and picture alike. */
import {
  cpuAnswer,
  type DeviceNames,
  hostBridgesOf,
  type KernelRules,
  type RootBus,
  type Topology,
} from "@peerbuf/topology";
import { modelName, shortBdf } from "../function-label.ts";
import type { DeviceNode, TreeNode } from "./machine-tree.ts";
import { type AcsWords, acsWords, type LinkWords, linkWords, portWords } from "./port-words.ts";

export interface NodeFace {
  readonly title: string;
  readonly detail: string;
  readonly bdf?: string;
  readonly link?: LinkWords;
  readonly acs?: AcsWords;
  readonly device?: DeviceNode;
}

interface Machine {
  readonly topology: Topology;
  readonly rules: KernelRules;
  readonly harmful: ReadonlySet<number>;
  /** What people call devices. */
  readonly models: DeviceNames;
}

export function nodeFace(
  machine: Machine,
  names: ReadonlyMap<number, string>,
  node: TreeNode,
): NodeFace {
  const { topology, rules, harmful } = machine;
  switch (node.kind) {
    case "machine":
      return { title: topology.facts.source, detail: "" };
    case "numa":
      return { title: `NUMA node ${node.node}`, detail: cpusOf(topology, node.node) };
    case "root-bus":
      return { title: `root bus ${node.root.id}`, detail: trustOf(machine, node.root) };
    case "bridge":
      return {
        title: shortBdf(topology.bdfOf(node.row)),
        bdf: topology.bdfOf(node.row),
        detail: portWords(topology, node.row),
        link: linkWords(topology, node.row),
        acs: acsWords(topology, rules, harmful, node.row),
      };
    case "device":
      return deviceFace(machine, names, node);
  }
}

function deviceFace(
  { topology, rules, harmful, models }: Machine,
  names: ReadonlyMap<number, string>,
  node: DeviceNode,
): NodeFace {
  const { row, rows } = node;
  const name = (each: number): string => names.get(each) ?? shortBdf(topology.bdfOf(each));
  const title = rows.length === 1 ? name(row) : `${name(row)} to ${name(rows.at(-1) as number)}`;
  const acs = acsWords(topology, rules, harmful, row);
  return {
    title,
    bdf: topology.bdfOf(row),
    detail: `${rows.length === 1 ? "" : `${rows.length} × `}${modelName(models, topology, row)}`,
    link: linkWords(topology, row),
    // What an endpoint keeps to itself matters only where it stands in the way.
    ...(acs.state === "redirects" && { acs }),
    device: node,
  };
}

function cpusOf(topology: Topology, id: number): string {
  const cpuList = topology.facts.numaNodes.find((node) => node.id === id)?.cpuList ?? "";
  return cpuList === "" ? "" : `CPUs ${cpuList}`;
}

/** Does the kernel let peers through this host bridge? Either the CPU or the bridge itself is enough. */
function trustOf({ topology, rules }: Machine, root: RootBus): string {
  const cpu = cpuAnswer(topology, rules);
  const bridge = hostBridgesOf(topology, rules).find((each) => each.root === root);
  if (cpu === "yes" || (bridge?.alone === "yes" && bridge.withOthers === "yes")) {
    return "root complex trusted";
  }
  if (bridge?.alone === "yes") {
    return cpu === "no" ? "trusted within itself only" : "trusted within itself at least";
  }
  return bridge?.alone === "no" && cpu === "no" ? "root complex not trusted" : "trust not known";
}
