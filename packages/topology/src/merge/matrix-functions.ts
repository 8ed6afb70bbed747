/**
 * Matrix functions: which PCI functions the names in `nvidia-smi topo -m` stand for.
 *
 * NICs are named by the legend; GPUs by NCCL's file, where one was given too, else by count: nvidia-smi
 * numbers the GPUs it drives in bus order, and so does the legend-less list of NICs. Where the counts do
 * not fit, a name stands for nothing rather than for the wrong card.
 */
import type { Topology } from "../topology.ts";

const NVIDIA = 0x10de;
const MELLANOX = 0x15b3;
const DISPLAY_CLASS = 0x03;
const NETWORK_CLASS = 0x02;

/** BDF by name; names whose function is not certain are left out. Empty without a matrix. */
export function functionsOfMatrix(topology: Topology): ReadonlyMap<string, string> {
  const { pathClasses, osNames } = topology.facts;
  if (pathClasses === undefined) {
    return new Map();
  }
  const bdfByOsName = new Map(
    [...osNames].flatMap(([bdf, names]) => names.map((name): [string, string] => [name, bdf])),
  );
  const named = pathClasses.names.flatMap((name): [string, string][] => {
    const bdf = bdfByOsName.get(pathClasses.osNames.get(name) ?? name);
    return bdf === undefined ? [] : [[name, bdf]];
  });
  return new Map([
    ...inBusOrder(topology, pathClasses.names, /^GPU\d+$/, NVIDIA, DISPLAY_CLASS),
    ...inBusOrder(topology, pathClasses.names, /^(?:NIC\d+|mlx5_\d+)$/, MELLANOX, NETWORK_CLASS),
    ...named,
  ]);
}

/** Names and functions of one kind in order, when there are as many of the one as of the other. */
function inBusOrder(
  topology: Topology,
  names: readonly string[],
  pattern: RegExp,
  vendor: number,
  kind: number,
): [string, string][] {
  const { table } = topology;
  const matching = names
    .filter((name) => pattern.test(name))
    .sort((one, other) => numberOf(one) - numberOf(other));
  const rows = Array.from(topology.endpoints).filter(
    (row) => table.vendor[row] === vendor && (table.classCode[row] as number) >> 16 === kind,
  );
  const bdfs = rows.map((row) => topology.bdfOf(row)).sort();
  return matching.length === bdfs.length
    ? matching.map((name, index) => [name, bdfs[index] as string])
    : [];
}

const numberOf = (name: string): number => Number(/\d+$/.exec(name)?.[0] ?? 0);
