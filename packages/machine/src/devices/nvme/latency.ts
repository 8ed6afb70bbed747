/**
 * NVMe latency: what a command waits for inside the drive before its data moves.
 *
 * Constants of the order of a good data-centre drive, not of any product. How long the data then takes
 * is for the links and the drive's own limits to say (`pace.ts`).
 */
import type { PreparedIo } from "./io-commands.ts";

/** From CC.EN to CSTS.RDY. */
export const ENABLE_NS = 1_000_000;
/** From a doorbell to the fetch of the first entry. */
export const DOORBELL_NS = 500;
/** An admin command. */
export const ADMIN_NS = 10_000;

/** Reads wait for flash, writes only for the drive's buffer. */
export const BASE_NS: Readonly<Record<PreparedIo["kind"], number>> = {
  read: 60_000,
  write: 12_000,
  flush: 5_000,
  zero: 10_000,
};
