/**
 * USB: a bulk storage device behind a host controller, the honest unknown.
 *
 * The controller does the DMA, so topology judges the controller's function in the device's place and
 * may say yes. The DMA layer maps peer memory for PCI functions only, and the device is none: it
 * refuses (EREMOTEIO, Linux 6.12), and the transfer goes through system memory, on the record. Nothing
 * here knows any of that: the driver takes what it is given.
 */
import { defineImporter, type ImporterDriver } from "@peerbuf/core";
import { type BulkTransfers, openBulkDriver } from "./bulk/bulk-driver.ts";
import { KIND } from "./bulk/registers.ts";
import { lookAt, offerFor, type PeerOptions } from "./peer-policy.ts";

export const usb: ImporterDriver<PeerOptions | undefined, BulkTransfers> = defineImporter<
  PeerOptions | undefined,
  BulkTransfers
>({
  name: "usb",
  needsDevice: true,

  open: (services, options = {}) =>
    openBulkDriver({
      services,
      name: "usb",
      kind: KIND.USB_DRIVE,
      importer: (device) => ({
        name: "usb",
        device,
        offer: () => offerFor(options, device.limits),
        take: (proposal) => lookAt(options, proposal),
      }),
    }),
});
