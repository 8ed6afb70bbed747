/**
 * Bulk engine registers: an interface of our own, modelled on no real product.
 *
 * The smallest thing that moves bytes between memory of a device's own and a list of segments; the
 * modelled platform block and accelerator have it. 32-bit registers, offsets in
 * bytes; addresses and offsets take two registers, low half first.
 */
export const BULK_REGISTER = {
  /** Reads `BULK_ID`. */
  ID: 0x00,
  /** What the engine belongs to, one of `BULK_KIND`. */
  KIND: 0x04,
  /** The device's own memory, in pages of 4 KiB. */
  LOCAL_PAGES: 0x08,
  /** Its port on the private link; `BULK_NO_LINK` without one. */
  LINK_PORT: 0x0c,
  /** DMA address of the segment table: for each entry 8 bytes of address and 8 of length. */
  TABLE_LOW: 0x10,
  TABLE_HIGH: 0x14,
  /** Entries of the table, 1 to `BULK_ENTRIES_MAX`. */
  ENTRIES: 0x18,
  /** Where in its own memory the transfer starts, in bytes. */
  LOCAL_LOW: 0x1c,
  LOCAL_HIGH: 0x20,
  /** `BULK_CONTROL`: starts a transfer, or stops the one that runs. Ignored while busy unless it stops. */
  CONTROL: 0x24,
  /** `BULK_STATUS`. Read only. Each transfer that ends by itself interrupts. */
  STATUS: 0x28,
  /** Why the last transfer failed, one of `BULK_FAULT`. Read only. */
  FAULT: 0x2c,
} as const;

/** "BULK", little-endian. */
export const BULK_ID = 0x4b4c_5542;
export const BULK_KIND = { PLATFORM_BLOCK: 2, ACCELERATOR: 3 } as const;
export const BULK_NO_LINK = 0xffff_ffff;
export const BULK_ENTRY_BYTES = 16;
export const BULK_ENTRIES_MAX = 256;
export const BULK_REGISTER_BYTES = 256;
/** The engine's only interrupt vector. */
export const BULK_VECTOR = 0;

export const BULK_CONTROL = {
  STOP: 0,
  /** From the segments to the device's own memory. */
  TO_LOCAL: 1,
  FROM_LOCAL: 2,
  /** Added: the addresses are on the private link and not on PCIe. */
  OVER_LINK: 0x100,
} as const;

export const BULK_STATUS = { IDLE: 0, BUSY: 1, DONE: 2, FAILED: 3 } as const;

export const BULK_FAULT = {
  NONE: 0,
  /** The table could not be read, or its size is impossible. */
  TABLE: 1,
  /** The transfer reaches past the end of its own memory. */
  LOCAL_RANGE: 2,
  /** A read of host or peer memory reached nothing. */
  DMA_READ: 3,
  /** Nothing on the private link answers at the address. */
  LINK: 4,
} as const;

export type BulkFault = (typeof BULK_FAULT)[keyof typeof BULK_FAULT];
