/**
 * RDMA queue entries: what host and NIC write into each other's queues.
 *
 * Command, 64 bytes: 0 opcode, 4 tag, 8 address (8 bytes), 16 length (8 bytes), 24 count, 28 access,
 * 32 key, queue pair or domain, 36 remote LID, 40 remote queue pair, 44 zaps, 48 domain, 52 receive
 * count, 56 receive address (8 bytes).
 *
 * Work request, 64 bytes: 0 opcode, 4 tag, 8 local offset (8 bytes), 16 length (8 bytes), 24 local
 * key, 28 remote key, 32 remote offset (8 bytes). Offsets count from the start of the region. Sends and
 * receives have no remote key.
 *
 * Reports, 32 bytes, with a phase at 28 (1 in the first pass over the queue, then alternating).
 * Completion: 0 tag, 4 status, 8 queue pair (0: a command), 12 result (of a receive: bytes). Event: 0
 * kind, 4 key or queue pair, 8 zaps or status.
 */
import { readU64 } from "../little-endian.ts";

export const RDMA_COMMAND_BYTES = 64;
export const RDMA_WORK_BYTES = 64;
export const RDMA_REPORT_BYTES = 32;
/** One row of a region's table: address, length, 8 bytes each. */
export const RDMA_SEGMENT_BYTES = 16;

export const RDMA_COMMAND = {
  /** A region of `length` bytes in `domain`, not present yet. Result: its key, local and remote alike. */
  REGISTER_REGION: 1,
  DEREGISTER_REGION: 2,
  /**
   * In `domain`, with a send queue of `count` entries at `address` and a receive queue of `receive count` at
   * `receive address`. Result: its number. Its state is RESET.
   */
  CREATE_QUEUE_PAIR: 3,
  /**
   * Puts it into the state `count`: INIT, RECEIVING (with the other end's LID and queue pair) and SENDING (with
   * RNR retries in `access`) in this order; RESET and ERROR from any.
   */
  MODIFY_QUEUE_PAIR: 4,
  DESTROY_QUEUE_PAIR: 5,
  /**
   * The region behind the key is present, where the `count` rows at `address` say; who waits goes on. `zaps`
   * is the number of zaps after which the rows were made. `count` 0: there is no page, who waits fails.
   */
  MAP_REGION: 6,
  /** Result: its number. Keys of one domain are no good for queue pairs of another. */
  ALLOCATE_DOMAIN: 7,
  /** BUSY while regions or queue pairs are in it. */
  RELEASE_DOMAIN: 8,
} as const;

export const RDMA_EVENT = {
  /** An access waits for an on-demand region that is not present: MAP_REGION is wanted. */
  PAGE_FAULT: 1,
  /** The accesses that were under way at zap number `zaps` of this region are over. */
  DRAINED: 2,
  /** The queue pair went into the error state, and no request of its own says why. */
  QUEUE_PAIR_ERROR: 3,
} as const;

export const RDMA_WORK = { WRITE: 1, READ: 2, SEND: 3 } as const;

export interface RdmaCommand {
  readonly opcode: number;
  readonly tag: number;
  readonly address: number;
  readonly lengthBytes: number;
  readonly count: number;
  readonly access: number;
  /** The key, the queue pair, or the domain. */
  readonly handle: number;
  readonly remoteLid: number;
  readonly remoteQueuePair: number;
  readonly zaps: number;
  readonly domain: number;
  readonly receiveCount: number;
  readonly receiveAddress: number;
}

export function decodeRdmaCommand(entry: DataView): RdmaCommand {
  return {
    opcode: entry.getUint32(0, true),
    tag: entry.getUint32(4, true),
    address: readU64(entry, 8),
    lengthBytes: readU64(entry, 16),
    count: entry.getUint32(24, true),
    access: entry.getUint32(28, true),
    handle: entry.getUint32(32, true),
    remoteLid: entry.getUint32(36, true),
    remoteQueuePair: entry.getUint32(40, true),
    zaps: entry.getUint32(44, true),
    domain: entry.getUint32(48, true),
    receiveCount: entry.getUint32(52, true),
    receiveAddress: readU64(entry, 56),
  };
}

export interface WorkRequest {
  readonly opcode: number;
  readonly tag: number;
  readonly localOffset: number;
  readonly lengthBytes: number;
  readonly localKey: number;
  readonly remoteKey: number;
  readonly remoteOffset: number;
}

export function decodeWorkRequest(entry: DataView): WorkRequest {
  return {
    opcode: entry.getUint32(0, true),
    tag: entry.getUint32(4, true),
    localOffset: readU64(entry, 8),
    lengthBytes: readU64(entry, 16),
    localKey: entry.getUint32(24, true),
    remoteKey: entry.getUint32(28, true),
    remoteOffset: readU64(entry, 32),
  };
}
