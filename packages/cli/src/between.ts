/**
 * Between: the functions that a person means by `--between gpu,nic,13:00.0`.
 *
 * Kinds are those of the short names (`gpu`, `nic`, `nvme`, ...); `gpu` includes accelerators. The pairs
 * of interest are those among everything named. A kind that the machine lacks is an error, because the
 * person expects it to be there.
 */
import { InputError } from "@peerbuf/core";
import type { Topology } from "@peerbuf/topology";
import { isInteresting, kindName, requireFunction } from "./function-label.ts";

/** Kinds that people name together, by the word they use. */
const KINDS_BY_WORD: ReadonlyMap<string, readonly string[]> = new Map([
  ["gpu", ["gpu", "accel"]],
  ["nic", ["nic"]],
  ["nvme", ["nvme"]],
  ["accel", ["accel"]],
]);
/** Names on one command line. */
const NAMES_MAX = 256;

/**
 * Rows in row order, each once. Without `names`: GPUs, accelerators, NICs and NVMe drives.
 * @throws InputError for a name that is no kind and no function, or a kind of which there is none
 */
export function rowsBetween(topology: Topology, names: string | undefined): Int32Array {
  if (names === undefined) {
    return topology.endpoints.filter((row) => isInteresting(topology, row));
  }
  const wanted = names.split(",").map((name) => name.trim());
  if (wanted.length > NAMES_MAX || wanted.some((name) => name === "")) {
    throw new InputError({
      source: `--between ${names}`,
      cause: `expected 1 to ${NAMES_MAX} names with commas between them`,
      remedy: "For example --between gpu,nic,nvme or --between 13:00.0,16:00.0",
    });
  }
  const rows = new Set(wanted.flatMap((name) => rowsNamed(topology, name)));
  return Int32Array.from(rows).sort();
}

function rowsNamed(topology: Topology, name: string): number[] {
  const kinds = KINDS_BY_WORD.get(name);
  if (kinds === undefined) {
    return [requireFunction(topology, name)];
  }
  const rows = [...topology.endpoints].filter((row) => kinds.includes(kindName(topology, row)));
  if (rows.length === 0) {
    throw new InputError({
      source: `--between ${name}`,
      cause: `there is no ${name} in ${topology.facts.source}`,
      remedy: "peerbuf matrix --all shows what there is",
    });
  }
  return rows;
}
