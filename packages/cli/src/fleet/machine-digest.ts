/**
 * Machine digest: what is kept of one capture of a fleet.
 *
 * Small, because thousands are kept at once; made in a worker thread, so plain data only.
 */
import { InputError, type PathType } from "@peerbuf/core";
import {
  judgeAllPairs,
  type KernelRules,
  readCapture,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { emptyAnswer } from "../empty-answer.ts";
import { isInteresting, kindName } from "../function-label.ts";
import { machineKey } from "./fact-sheet.ts";

export interface MachineDigest {
  /** Equal for machines that are the same. */
  readonly key: string;
  readonly cpu: string;
  readonly kernelRelease: string;
  /** GPUs, accelerators, NICs and NVMe drives, by short kind. Empty also where the capture does not say which these are. */
  readonly devices: Readonly<Record<string, number>>;
  /** No such devices in the capture, and it does not say that the machine has none. */
  readonly isOpen: boolean;
  /** Ordered pairs of different ones among them, by verdict. */
  readonly pairs: Readonly<Record<PathType, number>>;
}

export type Digested = MachineDigest | { readonly unreadable: string };

/** Reads one capture. What cannot be read is an answer too. */
export async function digestCapture(path: string, kernel: string): Promise<Digested> {
  try {
    return digestOf(await readCapture(path), rulesForKernel(kernel));
  } catch (error) {
    if (error instanceof InputError) {
      return { unreadable: error.message.replace(`${path}: `, "") };
    }
    throw error;
  }
}

function digestOf(topology: Topology, rules: KernelRules): MachineDigest {
  const rows = topology.endpoints.filter((row) => isInteresting(topology, row));
  const { cpu, kernelRelease } = topology.facts;
  const devices: Record<string, number> = {};
  for (const row of rows) {
    const kind = kindName(topology, row);
    devices[kind] = (devices[kind] ?? 0) + 1;
  }
  return {
    key: machineKey(topology, rules),
    cpu: cpu?.modelName ?? cpu?.vendor ?? "CPU not known",
    kernelRelease: kernelRelease ?? "not known",
    devices,
    isOpen: rows.length === 0 && emptyAnswer(topology, 0).isOpen,
    pairs: pairCounts(topology, rules, rows),
  };
}

/** A function and itself is no pair here. */
function pairCounts(
  topology: Topology,
  rules: KernelRules,
  rows: Int32Array,
): Record<PathType, number> {
  const pairs = judgeAllPairs(topology, rules, rows);
  const counts = pairs.counts();
  for (let position = 0; position < pairs.count; position++) {
    counts[pairs.typeAt(position, position)] -= 1;
  }
  return counts;
}
