/**
 * NVMe command: one 64-byte submission queue entry, decoded (NVMe 1.4 figure 105).
 */
import { readU64 } from "../little-endian.ts";

export const ADMIN = {
  DELETE_IO_SQ: 0x00,
  CREATE_IO_SQ: 0x01,
  DELETE_IO_CQ: 0x04,
  CREATE_IO_CQ: 0x05,
  IDENTIFY: 0x06,
  SET_FEATURES: 0x09,
  GET_FEATURES: 0x0a,
} as const;

export const IO = { FLUSH: 0x00, WRITE: 0x01, READ: 0x02 } as const;

/** Feature identifier of "number of queues". */
export const FEATURE_QUEUE_COUNT = 0x07;

export interface NvmeCommand {
  readonly opcode: number;
  /** PSDT: 0 means PRPs; the controller has no SGLs. */
  readonly usesSgl: boolean;
  readonly id: number;
  readonly namespaceId: number;
  readonly prp1: number;
  readonly prp2: number;
  readonly dword10: number;
  readonly dword11: number;
  readonly dword12: number;
}

export function decodeCommand(entry: DataView): NvmeCommand {
  const dword0 = entry.getUint32(0, true);
  return {
    opcode: dword0 & 0xff,
    usesSgl: ((dword0 >>> 14) & 3) !== 0,
    id: dword0 >>> 16,
    namespaceId: entry.getUint32(4, true),
    prp1: readU64(entry, 24),
    prp2: readU64(entry, 32),
    dword10: entry.getUint32(40, true),
    dword11: entry.getUint32(44, true),
    dword12: entry.getUint32(48, true),
  };
}
