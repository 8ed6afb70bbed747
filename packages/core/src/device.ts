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
  /**
   * The nearest PCI function above a device that is none itself (a USB device behind a PCI host
   * controller): topology judges that one in its place, as p2pdma's distance call does (6.12). The DMA
   * layer does not: it maps peer memory for PCI functions only.
   */
  readonly pciAncestor?: string;
  /** What its DMA engine can follow unless its driver says less. */
  readonly limits: DmaLimits;
}
