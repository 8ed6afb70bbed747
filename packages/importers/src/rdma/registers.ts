/**
 * RDMA NIC registers, entries and codes, as the driver uses them.
 *
 * The interface of the modelled NIC (not a real one): what each part does is said there.
 */
export const REGISTER = {
  ID: 0x00,
  LID: 0x08,
  CONTROL: 0x0c,
  STATUS: 0x10,
  COMMAND_RING: 0x20,
  COMMAND_TAIL: 0x2c,
  COMPLETION_RING: 0x30,
  COMPLETION_HEAD: 0x3c,
  EVENT_RING: 0x40,
  EVENT_HEAD: 0x4c,
  ZAP: 0x50,
  SEND_TAILS: 0x800,
  RECEIVE_TAILS: 0xc00,
} as const;

export const ID = 0x4e52_4250;
export const REGISTER_BYTES = 4096;
export const STATUS_READY = 1;
/** The NIC's interrupt vector. */
export const VECTOR = 0;

export const COMMAND = {
  REGISTER_REGION: 1,
  DEREGISTER_REGION: 2,
  CREATE_QUEUE_PAIR: 3,
  MODIFY_QUEUE_PAIR: 4,
  DESTROY_QUEUE_PAIR: 5,
  MAP_REGION: 6,
  ALLOCATE_DOMAIN: 7,
  RELEASE_DOMAIN: 8,
} as const;

export const EVENT = { PAGE_FAULT: 1, DRAINED: 2, QUEUE_PAIR_ERROR: 3 } as const;

export const WORK = { WRITE: 1, READ: 2, SEND: 3 } as const;

/** ibv_qp_state, as far as the driver leads a queue pair. */
export const STATE = { INIT: 1, RECEIVING: 2, SENDING: 3 } as const;

/** RNR retries without a count. */
export const RNR_RETRY_FOREVER = 7;

/** ibv_access_flags. */
export const ACCESS = {
  LOCAL_WRITE: 1,
  REMOTE_WRITE: 2,
  REMOTE_READ: 4,
  ON_DEMAND: 64,
} as const;

/** No status of a NIC: it did not answer in time, or was stopped. */
export const NO_ANSWER = -1;

/** Of a request whose own memory could not be reached. */
export const LOCAL_OPERATION_ERROR = 2;
export const FLUSHED = 5;
/** Of MAP_REGION: the region was zapped meanwhile. */
export const STALE = 4;
/** Of RELEASE_DOMAIN: something is in it. */
export const BUSY = 5;

/** ibv_wc_status in words. */
const WORK_STATUS: Readonly<Record<number, string>> = {
  1: "local length error: the message is longer than the room for it",
  [LOCAL_OPERATION_ERROR]: "local QP operation error",
  4: "local protection error",
  [FLUSHED]: "flushed: an earlier request of this queue pair failed, or it was closed",
  9: "remote invalid request: no room for the message at the other end",
  10: "remote access error",
  11: "remote operation error",
  12: "retry exceeded: the other end does not answer",
  13: "RNR retry exceeded: the other end waits for a page, or receives nothing",
};

const COMMAND_STATUS: Readonly<Record<number, string>> = {
  1: "invalid command",
  2: "no more of them",
  3: "the table of segments could not be read",
  [STALE]: "the region was zapped meanwhile",
  [BUSY]: "regions or queue pairs are in it",
};

export function describeWork(status: number): string {
  return described(WORK_STATUS, status);
}

export function describeCommand(status: number): string {
  return described(COMMAND_STATUS, status);
}

function described(texts: Readonly<Record<number, string>>, status: number): string {
  return status === NO_ANSWER
    ? "the NIC did not answer"
    : `${texts[status] ?? "a status without a name here"} (${status})`;
}
