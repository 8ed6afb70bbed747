/**
 * Path class of: what NCCL and `nvidia-smi topo -m` would call the way between two functions.
 *
 * The tools count PCIe switches, not functions: a switch is one upstream port with the downstream ports
 * below it, and a PCIe-to-PCI bridge is one by itself. Two functions of a card cross none. Nearness, not
 * permission: see `path-class.ts`.
 */
import { PORT_TYPE } from "../function-record.ts";
import type { PathClass } from "../path-class.ts";
import { hasEveryBridge, walkPair } from "../rules/judge-pair.ts";
import type { Topology } from "../topology.ts";

/** Undefined where bridges or NUMA nodes are not in the capture, and the class hangs on them. */
export function pathClassOf(
  topology: Topology,
  provider: number,
  client: number,
): PathClass | undefined {
  if (provider === client) {
    return "X";
  }
  if (!hasEveryBridge(topology)) {
    return undefined;
  }
  const { common, providerSide, clientSide } = walkPair(topology, provider, client);
  if (common >= 0) {
    const switches = [...providerSide, ...clientSide].filter((row) => isSwitch(topology, row));
    return switches.length <= 1 ? "PIX" : "PXB";
  }
  return topology.rootBusOf(provider) === topology.rootBusOf(client)
    ? "PHB"
    : acrossHostBridges(topology, provider, client);
}

/** A bridge that stands for a switch: not a port of the root complex, not a port that repeats its switch. */
function isSwitch(topology: Topology, row: number): boolean {
  const type = topology.table.portType[row];
  return (
    topology.isBridge(row) && type !== PORT_TYPE.ROOT_PORT && type !== PORT_TYPE.SWITCH_DOWNSTREAM
  );
}

function acrossHostBridges(
  topology: Topology,
  provider: number,
  client: number,
): PathClass | undefined {
  const nodes = [provider, client].map((row) => numaNodeOf(topology, row));
  if (nodes.includes(-1)) {
    return undefined;
  }
  return nodes[0] === nodes[1] ? "NODE" : "SYS";
}

/** The function's node, or that of a bridge above it; -1 unknown. A machine with one node has no other. */
export function numaNodeOf(topology: Topology, row: number): number {
  for (let above = row; above >= 0; above = topology.upstreamOf(above)) {
    const node = topology.table.numaNode[above] as number;
    if (node >= 0) {
      return node;
    }
  }
  const { numaNodes } = topology.facts;
  return numaNodes.length === 1 ? (numaNodes[0]?.id ?? -1) : -1;
}
