/**
 * NVMe command: one 64-byte submission queue entry, decoded (NVMe 1.4 figure 105).
 */
import { readU64 } from "../little-endian.ts";
import { decodeSglDescriptor, type SglDescriptor } from "./sgl-descriptor.ts";

export const ADMIN = {
  DELETE_IO_SQ: 0x00,
  CREATE_IO_SQ: 0x01,
  GET_LOG_PAGE: 0x02,
  DELETE_IO_CQ: 0x04,
  CREATE_IO_CQ: 0x05,
  IDENTIFY: 0x06,
  ABORT: 0x08,
  SET_FEATURES: 0x09,
  GET_FEATURES: 0x0a,
  ASYNC_EVENT_REQUEST: 0x0c,
} as const;

export const IO = {
  FLUSH: 0x00,
  WRITE: 0x01,
  READ: 0x02,
  WRITE_ZEROES: 0x08,
  DATASET_MANAGEMENT: 0x09,
} as const;

/** Feature identifier of "number of queues". */
export const FEATURE_QUEUE_COUNT = 0x07;

/** What the data pointer holds (PSDT, bits 15:14): 3 is reserved. */
export const POINTER = { PRP: 0, SGL: 1, SGL_WITH_METADATA_SEGMENT: 2, RESERVED: 3 } as const;

export interface NvmeCommand {
  readonly opcode: number;
  /** FUSE: 0 is a command of its own. */
  readonly fused: number;
  /** One of `POINTER`. */
  readonly pointer: number;
  readonly id: number;
  readonly namespaceId: number;
  readonly prp1: number;
  readonly prp2: number;
  /** The same 16 bytes, read as an SGL descriptor. */
  readonly sgl1: SglDescriptor;
  readonly dword10: number;
  readonly dword11: number;
  readonly dword12: number;
}

const DATA_POINTER_AT = 24;

export function decodeCommand(entry: DataView): NvmeCommand {
  const dword0 = entry.getUint32(0, true);
  return {
    opcode: dword0 & 0xff,
    fused: (dword0 >>> 8) & 3,
    pointer: (dword0 >>> 14) & 3,
    id: dword0 >>> 16,
    namespaceId: entry.getUint32(4, true),
    prp1: readU64(entry, DATA_POINTER_AT),
    prp2: readU64(entry, DATA_POINTER_AT + 8),
    sgl1: decodeSglDescriptor(entry, DATA_POINTER_AT),
    dword10: entry.getUint32(40, true),
    dword11: entry.getUint32(44, true),
    dword12: entry.getUint32(48, true),
  };
}
