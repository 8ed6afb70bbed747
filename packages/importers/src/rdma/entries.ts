/**
 * RDMA entries: commands, work requests and tables of segments as bytes.
 */
import type { SegmentList } from "@peerbuf/core";
import { writeU64 } from "../little-endian.ts";

export const ENTRY_BYTES = 64;
export const REPORT_BYTES = 32;
const SEGMENT_BYTES = 16;

export interface CommandFields {
  readonly opcode: number;
  readonly address?: number;
  readonly lengthBytes?: number;
  readonly count?: number;
  readonly access?: number;
  /** A key, a queue pair or a domain. */
  readonly handle?: number;
  readonly remoteLid?: number;
  readonly remoteQueuePair?: number;
  readonly zaps?: number;
  readonly domain?: number;
  readonly receiveCount?: number;
  readonly receiveAddress?: number;
}

export function encodeCommand(fields: CommandFields, tag: number): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(entry.buffer);
  view.setUint32(0, fields.opcode, true);
  view.setUint32(4, tag, true);
  writeU64(view, 8, fields.address ?? 0);
  writeU64(view, 16, fields.lengthBytes ?? 0);
  view.setUint32(24, fields.count ?? 0, true);
  view.setUint32(28, fields.access ?? 0, true);
  view.setUint32(32, fields.handle ?? 0, true);
  view.setUint32(36, fields.remoteLid ?? 0, true);
  view.setUint32(40, fields.remoteQueuePair ?? 0, true);
  view.setUint32(44, fields.zaps ?? 0, true);
  view.setUint32(48, fields.domain ?? 0, true);
  view.setUint32(52, fields.receiveCount ?? 0, true);
  writeU64(view, 56, fields.receiveAddress ?? 0);
  return entry;
}

export interface WorkFields {
  /** Left out of a receive request. */
  readonly opcode?: number;
  readonly localKey: number;
  readonly localOffset: number;
  /** Left out of sends and receive requests. */
  readonly remoteKey?: number;
  readonly remoteOffset?: number;
  readonly lengthBytes: number;
}

export function encodeWork(fields: WorkFields, tag: number): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(entry.buffer);
  view.setUint32(0, fields.opcode ?? 0, true);
  view.setUint32(4, tag, true);
  writeU64(view, 8, fields.localOffset);
  writeU64(view, 16, fields.lengthBytes);
  view.setUint32(24, fields.localKey, true);
  view.setUint32(28, fields.remoteKey ?? 0, true);
  writeU64(view, 32, fields.remoteOffset ?? 0);
  return entry;
}

/** Address and length of each segment, as the NIC fetches them. */
export function encodeSegments(segments: SegmentList): Uint8Array {
  const table = new Uint8Array(segments.count * SEGMENT_BYTES);
  const view = new DataView(table.buffer);
  for (let index = 0; index < segments.count; index++) {
    writeU64(view, index * SEGMENT_BYTES, segments.address(index));
    writeU64(view, index * SEGMENT_BYTES + 8, segments.lengthBytes(index));
  }
  return table;
}
