/**
 * NVMe latency: constants of the order of a good data-centre drive, not of any product.
 *
 * They order events plausibly and make overlap visible; link and media contention are not modelled
 * here.
 */
import type { PreparedIo } from "./io-commands.ts";

/** From CC.EN to CSTS.RDY. */
export const ENABLE_NS = 1_000_000;
/** From a doorbell to the fetch of the first entry. */
export const DOORBELL_NS = 500;
/** An admin command. */
export const ADMIN_NS = 10_000;

/** Reads wait for flash, writes only for the drive's buffer. */
const BASE_NS = { read: 60_000, write: 12_000, flush: 5_000, zero: 10_000 } as const;
/** 7 GB/s. */
const BYTES_PER_NS = 7;

export function ioLatencyNs(io: PreparedIo): number {
  return BASE_NS[io.kind] + Math.ceil(io.lengthBytes / BYTES_PER_NS);
}
