/**
 * RDMA NIC registers: an interface of our own, modelled on no real NIC.
 *
 * It has the parts that matter for sharing memory: memory regions with keys that can be taken away and
 * paged in on demand, queue pairs, a completion and an event queue. The words and completion statuses
 * are those of verbs (ibv_wc_status in rdma-core). 32-bit registers, offsets in bytes; addresses take two registers, low half first.
 */
export const RDMA_REGISTER = {
  /** Reads `RDMA_ID`. */
  ID: 0x00,
  VERSION: 0x04,
  /** The NIC's address on the wire. Read only. */
  LID: 0x08,
  /** 1 starts the NIC with empty queues; 0 stops it and forgets regions, queue pairs and work in flight. */
  CONTROL: 0x0c,
  /** `RDMA_NIC_STATUS` bits. Read only. */
  STATUS: 0x10,
  /** Command queue: DMA address and entries. */
  COMMAND_LOW: 0x20,
  COMMAND_HIGH: 0x24,
  COMMAND_ENTRIES: 0x28,
  /** Doorbell: one past the last command. */
  COMMAND_TAIL: 0x2c,
  /** Completion queue: DMA address and entries. */
  COMPLETION_LOW: 0x30,
  COMPLETION_HIGH: 0x34,
  COMPLETION_ENTRIES: 0x38,
  /** Doorbell: the next completion the host will look at. */
  COMPLETION_HEAD: 0x3c,
  /** Event queue: DMA address and entries. */
  EVENT_LOW: 0x40,
  EVENT_HIGH: 0x44,
  EVENT_ENTRIES: 0x48,
  /** Doorbell: the next event the host will look at. */
  EVENT_HEAD: 0x4c,
  /**
   * Written with a key: the region is not present any more, at once. Read: the accesses to that region that
   * were still under way then; if there were any, a DRAINED event follows.
   */
  ZAP: 0x50,
  /** Doorbells of the send queues, 4 bytes each, by number of the queue pair ... */
  SEND_TAILS: 0x800,
  /** ... and of the receive queues. */
  RECEIVE_TAILS: 0xc00,
} as const;

/** "PBRN", little-endian. */
export const RDMA_ID = 0x4e52_4250;
export const RDMA_VERSION = 2;
export const RDMA_REGISTER_BYTES = 4096;
export const RDMA_QUEUE_ENTRIES_MAX = 4096;
/** Queue pairs 1 to this; 0 stands for the command queue. */
export const RDMA_QUEUE_PAIRS_MAX = 255;
export const RDMA_PROTECTION_DOMAINS_MAX = 1024;
export const RDMA_REGIONS_MAX = 65_536;
/** Segments of one region. */
export const RDMA_REGION_SEGMENTS_MAX = 1_048_576;

export const RDMA_NIC_STATUS = {
  READY: 0b01,
  /** A queue could not be read, or a report queue overran. Only CONTROL helps. */
  FATAL: 0b10,
} as const;

/** Access to a memory region (ibv_access_flags). Local reads need none; REMOTE_WRITE needs LOCAL_WRITE. ON_DEMAND: an access may wait for a page. */
export const RDMA_ACCESS = {
  LOCAL_WRITE: 1,
  REMOTE_WRITE: 2,
  REMOTE_READ: 4,
  ON_DEMAND: 64,
} as const;

/** How a work request ended (ibv_wc_status). */
export const RDMA_STATUS = {
  SUCCESS: 0,
  /** A message is longer than the memory of the receive request that it found. */
  LOCAL_LENGTH_ERROR: 1,
  /** The NIC's own memory access failed, no page came for it, or the request makes no sense. */
  LOCAL_QP_OPERATION_ERROR: 2,
  /** Local key, its protection domain, bounds or access flags, or the region was taken away. */
  LOCAL_PROTECTION_ERROR: 4,
  /** The queue pair is in the error state; this request was not tried. */
  FLUSHED: 5,
  /** The other end found the message too long for its receive request. */
  REMOTE_INVALID_REQUEST: 9,
  /** Remote key, its protection domain, bounds or access flags, or the remote region was taken away. */
  REMOTE_ACCESS_ERROR: 10,
  /** The remote NIC could not reach its memory, was not allowed to, or no page came for it. */
  REMOTE_OPERATION_ERROR: 11,
  /** Nobody answers: not connected, or the other end is gone. */
  RETRY_EXCEEDED: 12,
  /** The other end was not ready (RNR) for too long: it waited for a page, or had no receive request. */
  RNR_RETRY_EXCEEDED: 13,
} as const;

export type RdmaStatus = (typeof RDMA_STATUS)[keyof typeof RDMA_STATUS];

/** ibv_qp_state. */
export const RDMA_QUEUE_PAIR_STATE = {
  /** Fresh: nothing is taken in. */
  RESET: 0,
  /** Receive requests may be put in. */
  INIT: 1,
  /** Ready to receive: answers the other end. */
  RECEIVING: 2,
  /** Ready to send as well. */
  SENDING: 3,
  /** Everything that is put in is flushed. Only a reset leads out. */
  ERROR: 6,
} as const;

export type RdmaQueuePairState = (typeof RDMA_QUEUE_PAIR_STATE)[keyof typeof RDMA_QUEUE_PAIR_STATE];

/** RNR retries: a count, or this for as long as a request may wait at all. */
export const RDMA_RNR_RETRY_FOREVER = 7;

/** How a command ended. */
export const RDMA_COMMAND_STATUS = {
  SUCCESS: 0,
  INVALID: 1,
  /** No more protection domains, regions or queue pairs. */
  LIMIT: 2,
  /** The table of segments could not be read. */
  UNREACHABLE: 3,
  /** The region was zapped after the table was made. */
  STALE: 4,
  /** Regions or queue pairs are in the protection domain. */
  BUSY: 5,
} as const;

export type RdmaCommandStatus = (typeof RDMA_COMMAND_STATUS)[keyof typeof RDMA_COMMAND_STATUS];
