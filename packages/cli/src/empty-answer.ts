/**
 * Empty answer: what to say where there is no pair of devices to speak of.
 *
 * A machine without such devices is one thing; a capture that does not say what there is, is another, and
 * must not be taken for it.
 */
import type { Topology } from "@peerbuf/topology";

export interface EmptyAnswer {
  readonly text: string;
  /** The capture does not say, so there may be devices all the same. */
  readonly isOpen: boolean;
}

/** @param deviceCount functions that were looked at: none, or one alone */
export function emptyAnswer(
  { facts, table, count, endpoints }: Topology,
  deviceCount: number,
): EmptyAnswer {
  const { source, format, pathClasses } = facts;
  if (count === 0 && pathClasses !== undefined) {
    const text = `Not known: ${format} says how near the devices are to each other, and not what the kernel makes of it. Add what lspci -Dvvvxxxx prints as root.`;
    return { text, isOpen: true };
  }
  if (count === 0) {
    const text = `Nothing to diagnose: ${source} shows no PCI functions (a container or a virtual machine may hide them).`;
    return { text, isOpen: false };
  }
  if (endpoints.some((row) => table.classCode[row] === 0)) {
    const text = `Not known: ${format} does not say which functions are GPUs, NICs or NVMe drives. Add what lspci -Dnn prints.`;
    return { text, isOpen: true };
  }
  if (facts.tree !== "whole") {
    const text = `Not known: ${source} shows a part of the machine, with ${deviceCount === 0 ? "no GPU, accelerator, NIC or NVMe drive" : "only one such device"} in it. Add what lspci -Dvvvxxxx prints as root.`;
    return { text, isOpen: true };
  }
  const text =
    deviceCount === 0
      ? `Nothing to diagnose: ${source} has no GPU, accelerator, NIC or NVMe drive.`
      : `Nothing to diagnose: ${source} has only one such device, and P2P needs two.`;
  return { text, isOpen: false };
}
