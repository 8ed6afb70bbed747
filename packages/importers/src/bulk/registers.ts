/**
 * Bulk engine registers and bits, as the drivers use them.
 *
 * The interface of the modelled bulk engine (not a real one): what each register does is said there.
 */
export const REGISTER = {
  ID: 0x00,
  KIND: 0x04,
  LOCAL_PAGES: 0x08,
  TABLE: 0x10,
  ENTRIES: 0x18,
  LOCAL: 0x1c,
  CONTROL: 0x24,
  STATUS: 0x28,
  FAULT: 0x2c,
} as const;

export const ID = 0x4b4c_5542;
export const REGISTER_BYTES = 256;
export const KIND = { PLATFORM_BLOCK: 2, ACCELERATOR: 3 } as const;
/** The engine's interrupt vector. */
export const VECTOR = 0;

export const ENTRY_BYTES = 16;
export const ENTRIES_MAX = 256;

export const CONTROL = { STOP: 0, TO_LOCAL: 1, FROM_LOCAL: 2, OVER_LINK: 0x100 } as const;
export const STATUS = { DONE: 2, FAILED: 3 } as const;

/** What the FAULT register says. */
export const FAULT_TEXT: readonly string[] = [
  "no fault",
  "the segment table could not be read",
  "the transfer reaches past the end of the device's memory",
  "a read of host or peer memory reached nothing",
  "nothing on the private link answers there",
];
