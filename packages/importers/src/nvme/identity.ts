/**
 * NVMe identity: what the driver needs of the two Identify pages (NVMe 1.4 figures 245 and 247).
 */
import { PAGE_BYTES, PeerbufError } from "@peerbuf/core";
import { readU64 } from "../little-endian.ts";

export interface NvmeIdentity {
  readonly serial: string;
  readonly model: string;
  readonly blockBytes: number;
  readonly capacityBytes: number;
  /** Most bytes of one command: the controller's limit (MDTS) or the driver's own, whichever is less. */
  readonly commandBytesMax: number;
  /** Data may be told by SGLs, whose blocks begin at any byte. */
  readonly takesSgls: boolean;
}

/** SGLS bits 1:0: supported, and data blocks need no alignment (NVMe 1.4 figure 247). */
const SGLS_AT_ANY_BYTE = 1;

/** What the driver keeps list memory for. */
const COMMAND_BYTES_MAX = 4 * 1024 * 1024;

export function readIdentity(controller: Uint8Array, namespace: Uint8Array): NvmeIdentity {
  const view = new DataView(namespace.buffer);
  const format = (namespace[26] as number) & 0xf; // FLBAS
  const blockBytes = 2 ** (namespace[130 + 4 * format] as number); // LBAF.LBADS
  if (blockBytes < 512 || blockBytes > PAGE_BYTES) {
    throw new PeerbufError("DEVICE_FAILED", `the drive has blocks of ${blockBytes} bytes`);
  }
  const mdts = controller[77] as number;
  const limit = mdts === 0 ? COMMAND_BYTES_MAX : PAGE_BYTES * 2 ** mdts;
  return {
    serial: text(controller, 4, 20),
    model: text(controller, 24, 40),
    blockBytes,
    capacityBytes: readU64(view, 0) * blockBytes,
    takesSgls: ((controller[536] as number) & 3) === SGLS_AT_ANY_BYTE,
    commandBytesMax: Math.min(limit, COMMAND_BYTES_MAX, 65_536 * blockBytes),
  };
}

function text(bytes: Uint8Array, offset: number, lengthBytes: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + lengthBytes)).trim();
}
