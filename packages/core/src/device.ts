/**
 * Device: who takes part, as far as core has to know.
 *
 * Made by the platform, one object a device, compared by identity.
 */
import type { DmaLimits } from "./dma-limits.ts";

export interface Device {
  /** Unique on the platform. For a PCI function its BDF, `dddd:bb:dd.f`. */
  readonly id: string;
  /** What it is, for people: `NVMe controller 1b36:0010`. */
  readonly label: string;
  /** The bus it sits on: `pci`, `usb`, `platform`, ... */
  readonly bus: string;
  /** What its DMA engine can follow unless its driver says less. */
  readonly limits: DmaLimits;
}
