/**
 * Platform device: a block of a SoC that is no PCI function, such as a camera.
 *
 * It takes system memory only and says why: there is no rule by which anybody could tell whether a
 * device outside of PCI reaches another device's BAR.
 */
import { DMA, defineImporter, type ImporterDriver, type MappingOffer, reason } from "@peerbuf/core";
import { type BulkTransfers, openBulkDriver } from "./bulk/bulk-driver.ts";
import { KIND } from "./bulk/registers.ts";

const TYPES: readonly MappingOffer[] = [{ type: DMA }];

export const platformDevice: ImporterDriver<undefined, BulkTransfers> = defineImporter<
  undefined,
  BulkTransfers
>({
  name: "platform-device",
  needsDevice: true,

  open: (services) =>
    openBulkDriver({
      services,
      name: "platform-device",
      kind: KIND.PLATFORM_BLOCK,
      importer: (device) => ({
        name: "platform-device",
        device,
        offer: () => ({ answer: "offer", types: TYPES, reason: NOT_PCI }),
      }),
    }),
});

const NOT_PCI = reason("NOT_PCI", "it is no PCI function: no rule says what it reaches of a peer");
