/**
 * Modelled device: one PCI function of the machine, as core and drivers see it.
 */
import type { Device, DmaLimits } from "@peerbuf/core";
import type { Topology } from "@peerbuf/topology";

/** Where a device's requests enter the fabric. */
export interface OnFabric {
  /** Row in the topology's table. */
  readonly row: number;
  /** Bus address minus physical address below its host bridge. */
  readonly busOffset: number;
  /** BDF of the function that issues its requests. */
  readonly requester: string;
}

export class ModelledDevice implements Device, OnFabric {
  readonly id: string;
  readonly label: string;
  readonly bus = "pci";
  readonly limits: DmaLimits;
  readonly row: number;
  readonly busOffset: number;
  readonly requester: string;

  constructor(topology: Topology, row: number, busOffset: number, limits: DmaLimits) {
    this.id = topology.bdfOf(row);
    this.label = labelOf(topology, row);
    this.limits = limits;
    this.row = row;
    this.busOffset = busOffset;
    this.requester = this.id;
  }
}

/** Names for people, by base class and subclass (PCI Code and ID Assignment 1.11). */
const CLASS_NAMES: ReadonlyMap<number, string> = new Map([
  [0x0106, "SATA controller"],
  [0x0108, "NVMe controller"],
  [0x0200, "Ethernet controller"],
  [0x0207, "InfiniBand controller"],
  [0x0300, "VGA controller"],
  [0x0302, "3D controller"],
  [0x0380, "Display controller"],
  [0x0600, "Host bridge"],
  [0x0604, "PCI bridge"],
  [0x0c03, "USB controller"],
  [0x1200, "Accelerator"],
]);

function labelOf(topology: Topology, row: number): string {
  const { vendor, device, classCode } = topology.table;
  const hex = (value: number | undefined) => (value ?? 0).toString(16).padStart(4, "0");
  const name = CLASS_NAMES.get((classCode[row] as number) >> 8) ?? "PCI function";
  return `${name} ${hex(vendor[row])}:${hex(device[row])}`;
}
