/**
 * Non-PCI device: one that drivers know by another bus, and whose requests a PCI function issues.
 *
 * A USB drive sits behind its host controller, which does the DMA for it. A block of a SoC has no PCI
 * function at all; as the modelled fabric knows no other requesters, it takes the place of one, and
 * neither drivers nor rules are told which.
 */
import { type Device, type DmaLimits, InputError } from "@peerbuf/core";
import type { Topology } from "@peerbuf/topology";
import type { OnFabric } from "./modelled-device.ts";

export interface NonPciDeviceOptions {
  /** Unique on the platform, e.g. `usb1-1`; no BDF. */
  readonly id: string;
  /** `usb`, `platform`, ...; not `pci`. */
  readonly bus: string;
  /** For people. */
  readonly label: string;
  /** BDF of the function whose registers, interrupts and requests serve it. */
  readonly behind: string;
  /** `false`: that function is only its place in the model, and no ancestor of it. Default `true`. */
  readonly hasPciAncestor?: boolean;
  /** Those of the function behind which it is, unless told otherwise. */
  readonly limits?: DmaLimits;
}

export class NonPciDevice implements Device, OnFabric {
  readonly id: string;
  readonly label: string;
  readonly bus: string;
  readonly limits: DmaLimits;
  readonly pciAncestor?: string;
  readonly row: number;
  readonly busOffset: number;
  readonly requester: string;

  /** `carrier`: the function behind which it is. `InputError` when it claims to be what it is not. */
  constructor(options: NonPciDeviceOptions, topology: Topology, carrier: Device & OnFabric) {
    if (options.bus === "pci" || topology.indexOf(options.id) >= 0) {
      throw new InputError({
        source: options.id,
        cause: "a device of another bus cannot be a PCI function",
        remedy: "Give it an id and a bus of its own; captured functions are devices already",
      });
    }
    this.id = options.id;
    this.label = options.label;
    this.bus = options.bus;
    this.limits = options.limits ?? carrier.limits;
    if (options.hasPciAncestor !== false) {
      this.pciAncestor = carrier.id;
    }
    this.row = carrier.row;
    this.busOffset = carrier.busOffset;
    this.requester = carrier.requester;
  }
}
