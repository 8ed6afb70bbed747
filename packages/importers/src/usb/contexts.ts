/**
 * Contexts: what the driver tells the controller of a device and its endpoints (xHCI 1.2 section 6.2).
 */
import { writeU64 } from "../little-endian.ts";
import { CONTEXT_BYTES, ENDPOINT, ENDPOINT_TYPE } from "./registers.ts";

/** Input control context, slot context, and 31 endpoints. */
export const INPUT_CONTEXT_BYTES: number = 33 * CONTEXT_BYTES;
export const DEVICE_CONTEXT_BYTES: number = 32 * CONTEXT_BYTES;

/** Packet sizes of SuperSpeed (USB 3.2 sections 8.12.1.2 and 8.12.2). */
const PACKET_BYTES = { CONTROL: 512, BULK: 1024 } as const;
const SUPER_SPEED = 4;
const ROOT_PORT = 1;
/** Tries before a transfer fails. */
const ERROR_COUNT = 3;

/** A device on the root port, with its control endpoint. */
export function addressContext(controlRing: number): Uint8Array {
  const { bytes, view } = inputContext((1 << 0) | (1 << ENDPOINT.CONTROL), ENDPOINT.CONTROL);
  putEndpoint(view, ENDPOINT.CONTROL, ENDPOINT_TYPE.CONTROL, PACKET_BYTES.CONTROL, controlRing);
  return bytes;
}

/** Its two bulk endpoints. */
export function bulkContext(outRing: number, inRing: number): Uint8Array {
  const added = (1 << 0) | (1 << ENDPOINT.OUT) | (1 << ENDPOINT.IN);
  const { bytes, view } = inputContext(added, ENDPOINT.IN);
  putEndpoint(view, ENDPOINT.OUT, ENDPOINT_TYPE.OUT, PACKET_BYTES.BULK, outRing);
  putEndpoint(view, ENDPOINT.IN, ENDPOINT_TYPE.IN, PACKET_BYTES.BULK, inRing);
  return bytes;
}

function inputContext(added: number, lastEndpoint: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(INPUT_CONTEXT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, added, true);
  view.setUint32(CONTEXT_BYTES, ((lastEndpoint << 27) | (SUPER_SPEED << 20)) >>> 0, true);
  view.setUint32(CONTEXT_BYTES + 4, ROOT_PORT << 16, true);
  return { bytes, view };
}

/** `ring`: where it begins, with its cycle state in bit 0. */
function putEndpoint(
  view: DataView,
  endpoint: number,
  type: number,
  packetBytes: number,
  ring: number,
): void {
  const at = (endpoint + 1) * CONTEXT_BYTES;
  view.setUint32(at + 4, ((packetBytes << 16) | (type << 3) | (ERROR_COUNT << 1)) >>> 0, true);
  writeU64(view, at + 8, ring);
}
