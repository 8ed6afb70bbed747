/**
 * Device kind: what a function is for, as far as peer traffic asks.
 */
import type { Topology } from "../topology.ts";

export type DeviceKind = "accelerator" | "network" | "nvme" | "other";

const NVME = 0x0108;

/** By class code (PCI Code and ID Assignment 1.11): displays, accelerators and co-processors are accelerators. */
export function kindOf(topology: Topology, row: number): DeviceKind {
  const classCode = topology.table.classCode[row] as number;
  switch (classCode >> 16) {
    case 0x03:
    case 0x0b:
    case 0x12:
      return "accelerator";
    case 0x02:
      return "network";
    default:
      return classCode >> 8 === NVME ? "nvme" : "other";
  }
}

/** Rows of the functions that share buffers on servers: accelerators, NICs and NVMe drives. */
export const sharingFunctions = (topology: Topology): Int32Array =>
  topology.endpoints.filter((row) => kindOf(topology, row) !== "other");
