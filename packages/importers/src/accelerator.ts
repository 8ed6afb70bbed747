/**
 * Accelerator: reaches other devices over a private link first, over PCIe where there is none.
 *
 * Both sides of a link hold the same mapping type value; addresses of that type mean something on the
 * link only, and topology has no say. An exporter that is not on the link is met as any peer: P2P,
 * then system memory. The engine can be stopped at once, so a revoked buffer is let go of at once.
 */
import {
  DMA,
  defineImporter,
  type ImporterDriver,
  type MappingOffer,
  type MappingType,
  P2P,
} from "@peerbuf/core";
import { type BulkTransfers, openBulkDriver } from "./bulk/bulk-driver.ts";
import { KIND } from "./bulk/registers.ts";

export interface AcceleratorOptions {
  /** The type of the link it is on, made with `interconnect`: the very value that the exporter has. */
  readonly link?: MappingType;
}

export const accelerator: ImporterDriver<AcceleratorOptions | undefined, BulkTransfers> =
  defineImporter<AcceleratorOptions | undefined, BulkTransfers>({
    name: "accelerator",
    needsDevice: true,

    open(services, { link } = {}) {
      const types = typesFor(link);
      return openBulkDriver({
        services,
        name: "accelerator",
        kind: KIND.ACCELERATOR,
        importer: (device, stop) => ({
          name: "accelerator",
          device,
          offer: () => ({ answer: "offer", types }),
          // Pinned, as it cannot go on elsewhere in the middle of a transfer; but it can give up.
          pins: true,
          invalidateMappings: ({ buffer }) => stop.abort(`"${buffer.name}" was revoked`),
        }),
        isOverLink: ({ type }) => type === link,
      });
    },
  });

function typesFor(link: MappingType | undefined): readonly MappingOffer[] {
  const others: MappingOffer[] = [{ type: P2P }, { type: DMA }];
  return link === undefined ? others : [{ type: link }, ...others];
}
