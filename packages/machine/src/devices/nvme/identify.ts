/**
 * NVMe Identify: what the controller says about itself (NVMe 1.4 section 5.15).
 *
 * Each answer is a page of 4 KiB. Fields that are not set here are 0, which means "not supported".
 */
import { writeU64 } from "../little-endian.ts";
import { EVENT_REQUESTS_MAX } from "./async-events.ts";
import { ERROR_LOG_ENTRIES } from "./error-log.ts";
import type { Namespace } from "./namespace.ts";
import { VERSION_1_4 } from "./registers.ts";

export const IDENTIFY_BYTES = 4096;

/** The CNS values the controller knows. */
export const CNS = { NAMESPACE: 0x00, CONTROLLER: 0x01, ACTIVE_NAMESPACES: 0x02 } as const;

/** The only namespace. */
export const NAMESPACE_ID = 1;

export interface ControllerIdentity {
  readonly serial: string;
  readonly model: string;
  readonly firmware: string;
  /** Largest data transfer: 2^mdts pages of 4 KiB; 0: no limit. */
  readonly mdts: number;
}

/** ONCS: dataset management and write zeroes. */
const OPTIONAL_COMMANDS = (1 << 2) | (1 << 3);
/** SGLS: SGLs with data blocks at any byte of any length, and bit buckets. */
const SGL_SUPPORT = 0b01 | (1 << 16);
/** DLFEAT: deallocated blocks read as zeros. */
const DEALLOCATED_ARE_ZEROS = 1;

/** Figure 247. */
export function identifyController(identity: ControllerIdentity, { media }: Namespace): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_BYTES);
  const view = new DataView(bytes.buffer);
  putText(bytes, 4, 20, identity.serial);
  putText(bytes, 24, 40, identity.model);
  putText(bytes, 64, 8, identity.firmware);
  bytes[77] = identity.mdts;
  view.setUint32(80, VERSION_1_4, true);
  bytes[259] = EVENT_REQUESTS_MAX - 1; // AERL
  bytes[262] = ERROR_LOG_ENTRIES - 1; // ELPE
  bytes[512] = 0x66; // SQES: entries of 2^6 bytes, neither more nor less.
  bytes[513] = 0x44; // CQES: 2^4 bytes.
  view.setUint32(516, NAMESPACE_ID, true); // NN: the highest namespace id.
  view.setUint16(520, OPTIONAL_COMMANDS, true);
  bytes[525] = media.hasWriteCache ? 1 : 0; // VWC
  view.setUint32(536, SGL_SUPPORT, true);
  return bytes;
}

/** Figure 245. */
export function identifyNamespace(namespace: Namespace): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_BYTES);
  const view = new DataView(bytes.buffer);
  writeU64(view, 0, namespace.blockCount); // NSZE
  writeU64(view, 8, namespace.blockCount); // NCAP
  writeU64(view, 16, namespace.blockCount); // NUSE
  bytes[33] = DEALLOCATED_ARE_ZEROS;
  bytes[130] = Math.log2(namespace.blockBytes); // LBAF0.LBADS
  return bytes;
}

/** Namespace ids above `after`, in order, up to the first 0. */
export function identifyActiveNamespaces(after: number): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_BYTES);
  if (after < NAMESPACE_ID) {
    new DataView(bytes.buffer).setUint32(0, NAMESPACE_ID, true);
  }
  return bytes;
}

/** ASCII, padded with spaces (section 1.5). */
function putText(bytes: Uint8Array, offset: number, lengthBytes: number, text: string): void {
  for (let index = 0; index < lengthBytes; index++) {
    bytes[offset + index] = index < text.length ? text.charCodeAt(index) & 0x7f : 0x20;
  }
}
