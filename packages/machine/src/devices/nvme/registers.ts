/**
 * NVMe controller registers: offsets and fields in BAR0 (NVMe 1.4 section 3.1).
 *
 * Only what the modelled controller has: no boot partitions, doorbell stride 0, one page size of
 * 4 KiB, the NVM command set. Those of the controller memory buffer are in `memory-buffer.ts`.
 */
export const REGISTER = {
  CAP_LOW: 0x00,
  CAP_HIGH: 0x04,
  VERSION: 0x08,
  INTERRUPT_MASK_SET: 0x0c,
  INTERRUPT_MASK_CLEAR: 0x10,
  CONFIGURATION: 0x14,
  STATUS: 0x1c,
  ADMIN_QUEUE_ATTRIBUTES: 0x24,
  ADMIN_SQ_LOW: 0x28,
  ADMIN_SQ_HIGH: 0x2c,
  ADMIN_CQ_LOW: 0x30,
  ADMIN_CQ_HIGH: 0x34,
  DOORBELLS: 0x1000,
} as const;

/** NVMe 1.4.0. */
export const VERSION_1_4 = 0x0001_0400;

/** Memory page of the controller, in bytes (CAP.MPSMIN = CAP.MPSMAX = 0). */
export const NVME_PAGE_BYTES = 4096;

/** Entries of the largest queue it takes (CAP.MQES + 1). */
export const QUEUE_ENTRIES_MAX = 1024;

/** CAP.TO: how long a driver should wait for CSTS.RDY, in units of 500 ms. */
const READY_TIMEOUT_UNITS = 15;

/** MQES, CQR (queues are contiguous), TO. */
export const CAP_LOW: number =
  ((QUEUE_ENTRIES_MAX - 1) | (1 << 16) | (READY_TIMEOUT_UNITS << 24)) >>> 0;

/** CSS: the NVM command set (bit 37 of CAP). */
export const CAP_HIGH: number = 1 << 5;

/** CSTS fields. */
export const STATUS_READY: number = 1 << 0;
export const STATUS_FATAL: number = 1 << 1;
export const STATUS_SHUTDOWN_COMPLETE: number = 2 << 2;

/** Sizes of queue entries in bytes, as CC.IOSQES and CC.IOCQES state them in powers of two. */
export const SQ_ENTRY_BYTES = 64;
export const CQ_ENTRY_BYTES = 16;

export interface Configuration {
  readonly enable: boolean;
  /** CC.CSS: 0 is the NVM command set. */
  readonly commandSet: number;
  /** CC.AMS: 0 is round robin. */
  readonly arbitration: number;
  readonly pageBytes: number;
  readonly shutdown: boolean;
  readonly sqEntryBytes: number;
  readonly cqEntryBytes: number;
}

/** CC, decoded (section 3.1.5). */
export function decodeConfiguration(value: number): Configuration {
  return {
    enable: (value & 1) !== 0,
    commandSet: (value >>> 4) & 7,
    arbitration: (value >>> 11) & 7,
    pageBytes: NVME_PAGE_BYTES << ((value >>> 7) & 0xf),
    shutdown: ((value >>> 14) & 3) !== 0,
    sqEntryBytes: 1 << ((value >>> 16) & 0xf),
    cqEntryBytes: 1 << ((value >>> 20) & 0xf),
  };
}

/** The controller can be enabled so; otherwise it shows a fatal status. */
export function isPossible(configuration: Configuration): boolean {
  const { commandSet, arbitration, pageBytes, sqEntryBytes, cqEntryBytes } = configuration;
  const sizesOk = sqEntryBytes === SQ_ENTRY_BYTES && cqEntryBytes === CQ_ENTRY_BYTES;
  return commandSet === 0 && arbitration === 0 && pageBytes === NVME_PAGE_BYTES && sizesOk;
}
