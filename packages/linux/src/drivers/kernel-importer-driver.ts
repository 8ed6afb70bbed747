/**
 * Kernel importer driver: attaches peerbuf's buffers to a device through its kernel driver.
 *
 * The device's kernel driver does the mapping (`KernelDma`); this driver says what it takes and gives its
 * user the kernel's names for what was mapped, to be used with the device's own interface.
 */
import {
  DEVICE,
  DMA,
  defineImporter,
  type Importer,
  type ImporterDriver,
  type Mapping,
  P2P,
} from "@peerbuf/core";
import { KERNEL_BUFFERS } from "../platform/kernel-buffers.ts";

export interface KernelImporterApi {
  /** For `buffer.attach(importer)`. */
  readonly importer: Importer;
  /** GEM handles or memory keys of a live mapping, one for each stretch of the buffer. */
  handlesOf(mapping: Mapping): readonly number[];
}

export const kernelImporter: ImporterDriver<undefined, KernelImporterApi> = defineImporter<
  undefined,
  KernelImporterApi
>({
  name: "kernel-importer",
  needsDevice: true,

  open(services) {
    const device = services.get(DEVICE);
    const buffers = services.get(KERNEL_BUFFERS);
    const importer: Importer = {
      name: "kernel-importer",
      device,
      // Whether peer memory can be mapped is the kernel's to say, at map time.
      offer: () => ({ answer: "offer", types: [{ type: P2P }, { type: DMA }] }),
    };
    return { api: { importer, handlesOf: (mapping) => buffers.handlesOf(mapping) } };
  },
});
