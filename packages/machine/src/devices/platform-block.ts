/**
 * Platform block: a part of a SoC with a DMA engine, such as a camera or a crypto unit.
 *
 * No PCI function in the eyes of drivers. The modelled machine knows requesters on PCIe only, so the
 * block takes the place of a captured function and the platform gives it another name (see
 * `PlatformOptions.devices`). Registers are those of `bulk-engine`.
 */
import { type BulkDevice, createBulkDevice } from "./bulk-engine/bulk-device.ts";
import { BULK_KIND } from "./bulk-engine/registers.ts";

export interface PlatformBlockOptions {
  /** Its own memory, whole pages. Default 1 MiB. */
  readonly memoryBytes?: number;
}

/** Order of magnitude of a 64-bit port at some hundred MHz; no product's figures. */
const START_NS = 200;
const BYTES_PER_NS = 2;

/** A model to be placed in a function with a non-prefetchable memory BAR. */
export function createPlatformBlock(options: PlatformBlockOptions = {}): BulkDevice {
  return createBulkDevice({
    name: "platform-block",
    kind: BULK_KIND.PLATFORM_BLOCK,
    memoryBytes: options.memoryBytes ?? 2 ** 20,
    startNs: START_NS,
    bytesPerNs: BYTES_PER_NS,
    showsMemory: false,
  });
}
