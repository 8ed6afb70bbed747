/**
 * USB drive: a host controller with one bulk storage device behind it. Modelled for sharing memory.
 *
 * On a real bus the drive sends packets and the host controller (a PCI function, or a block of a SoC)
 * does the DMA for it. So does this model: it sits in the controller's place and issues the
 * controller's requests. Transfer rings, endpoints and packets are left out; the registers are those
 * of `bulk-engine`, ours and not xHCI's.
 */
import { type BulkDevice, createBulkDevice } from "./bulk-engine/bulk-device.ts";
import { BULK_KIND } from "./bulk-engine/registers.ts";

export interface UsbDriveOptions {
  /** Whole pages. Default 64 MiB. */
  readonly capacityBytes?: number;
}

/** One microframe passes before a bulk transfer starts (USB 2.0, 5.8); about 5 Gbit/s less coding (USB 3.2 gen 1). */
const START_NS = 125_000;
const BYTES_PER_NS = 0.4;

/** A model to be placed behind a host controller with a non-prefetchable memory BAR. */
export function createUsbDrive(options: UsbDriveOptions = {}): BulkDevice {
  return createBulkDevice({
    name: "usb-drive",
    kind: BULK_KIND.USB_DRIVE,
    memoryBytes: options.capacityBytes ?? 64 * 2 ** 20,
    startNs: START_NS,
    bytesPerNs: BYTES_PER_NS,
    showsMemory: false,
  });
}
