/**
 * NVMe commands: submission queue entries as bytes (NVMe 1.4 figures 105, 150, 155, 382).
 *
 * The command identifier is put in by the queue pair that sends it.
 */
import { writeU64 } from "../little-endian.ts";

export const COMMAND_BYTES = 64;

export const OPCODE = { FLUSH: 0x00, WRITE: 0x01, READ: 0x02 } as const;
const ADMIN = { CREATE_SQ: 0x01, CREATE_CQ: 0x05, IDENTIFY: 0x06, SET_FEATURES: 0x09 } as const;

export const NAMESPACE_ID = 1;
export const IDENTIFY_NAMESPACE = 0;
export const IDENTIFY_CONTROLLER = 1;

/** Where the data is, in the two pointers of a command. */
export interface PrpPointers {
  readonly prp1: number;
  readonly prp2: number;
}

/** Where the data is, in the SGL descriptor of a command: a data block, or where the others are. */
export interface SglPointer {
  readonly type: number;
  readonly address: number;
  readonly lengthBytes: number;
}

export type DataPointer = PrpPointers | SglPointer;

/** PSDT, bits 15:14 of dword 0: the data pointer is an SGL, and there is no metadata. */
const USES_SGL = 1 << 14;
const DATA_POINTER_AT = 24;

export function identify(what: number, prp1: number): Uint8Array {
  const namespace = what === IDENTIFY_NAMESPACE ? NAMESPACE_ID : 0;
  return command(ADMIN.IDENTIFY, namespace, { prp1, prp2: 0 }, what);
}

/** Asks for one I/O queue pair; both counts are 0-based. */
export function setQueueCount(): Uint8Array {
  const feature = 0x07;
  return command(ADMIN.SET_FEATURES, 0, NO_DATA, feature, 0);
}

export function createCompletionQueue(
  id: number,
  prp1: number,
  entries: number,
  vector: number,
): Uint8Array {
  const contiguousWithInterrupts = 3;
  const flags = (vector << 16) | contiguousWithInterrupts;
  return command(ADMIN.CREATE_CQ, 0, { prp1, prp2: 0 }, ((entries - 1) << 16) | id, flags);
}

export function createSubmissionQueue(id: number, prp1: number, entries: number): Uint8Array {
  const contiguous = 1;
  const flags = (id << 16) | contiguous; // Its completion queue has the same number.
  return command(ADMIN.CREATE_SQ, 0, { prp1, prp2: 0 }, ((entries - 1) << 16) | id, flags);
}

export function flush(): Uint8Array {
  return command(OPCODE.FLUSH, NAMESPACE_ID, NO_DATA);
}

export function transferBlocks(
  opcode: typeof OPCODE.READ | typeof OPCODE.WRITE,
  data: DataPointer,
  firstBlock: number,
  blockCount: number,
): Uint8Array {
  const high = Math.floor(firstBlock / 2 ** 32);
  return command(opcode, NAMESPACE_ID, data, firstBlock % 2 ** 32, high, blockCount - 1);
}

const NO_DATA: PrpPointers = { prp1: 0, prp2: 0 };

function command(
  opcode: number,
  namespaceId: number,
  data: DataPointer,
  dword10 = 0,
  dword11 = 0,
  dword12 = 0,
): Uint8Array {
  const entry = new Uint8Array(COMMAND_BYTES);
  const view = new DataView(entry.buffer);
  view.setUint32(0, "type" in data ? opcode | USES_SGL : opcode, true);
  view.setUint32(4, namespaceId, true);
  putPointer(view, data);
  view.setUint32(40, dword10, true);
  view.setUint32(44, dword11, true);
  view.setUint32(48, dword12, true);
  return entry;
}

function putPointer(view: DataView, data: DataPointer): void {
  if ("type" in data) {
    putSglDescriptor(view, DATA_POINTER_AT, data);
  } else {
    writeU64(view, DATA_POINTER_AT, data.prp1);
    writeU64(view, DATA_POINTER_AT + 8, data.prp2);
  }
}

/** 16 bytes: address, length, and the type in the upper half of the last byte (NVMe 1.4 figure 112). */
export function putSglDescriptor(view: DataView, offset: number, descriptor: SglPointer): void {
  writeU64(view, offset, descriptor.address);
  view.setUint32(offset + 8, descriptor.lengthBytes, true);
  view.setUint32(offset + 12, descriptor.type * 2 ** 28, true);
}
