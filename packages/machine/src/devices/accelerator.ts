/**
 * Accelerator: memory of its own behind a BAR, a bulk engine, and a private link to others of its kind.
 *
 * Over PCIe it is an ordinary peer; over the link it reaches all of the others' memory, shown by a BAR
 * or not. Left out: everything that computes.
 */
import { type BulkDevice, createBulkDevice } from "./bulk-engine/bulk-device.ts";
import type { PrivateLink } from "./bulk-engine/private-link.ts";
import { BULK_KIND } from "./bulk-engine/registers.ts";

export interface AcceleratorOptions {
  /** Whole pages, at least as much as the BAR shows. Default 64 MiB. */
  readonly memoryBytes?: number;
  /** The link it is on; none unless told. */
  readonly link?: PrivateLink;
}

/** Order of magnitude of a PCIe 4.0 x16 card; no product's figures. */
const START_NS = 1_000;
const BYTES_PER_NS = 24;

/** A model to be placed behind a function with a prefetchable memory BAR and another one for registers. */
export function createAccelerator(options: AcceleratorOptions = {}): BulkDevice {
  return createBulkDevice({
    name: "accelerator",
    kind: BULK_KIND.ACCELERATOR,
    memoryBytes: options.memoryBytes ?? 64 * 2 ** 20,
    startNs: START_NS,
    bytesPerNs: BYTES_PER_NS,
    showsMemory: true,
    link: options.link,
  });
}
