/**
 * xHCI registers, contexts and TRBs, as the driver uses them (xHCI 1.2 sections 5 and 6).
 */
import type { Bar } from "@peerbuf/core";

/** Capability registers; the others begin where these say. */
export const CAPABILITY = { LENGTH: 0x00, HCSPARAMS1: 0x04, DBOFF: 0x14, RTSOFF: 0x18 } as const;

/** From the start of the operational registers. */
export const OPERATIONAL = {
  USBCMD: 0x00,
  USBSTS: 0x04,
  PAGESIZE: 0x08,
  CRCR: 0x18,
  DCBAAP: 0x30,
  CONFIG: 0x38,
} as const;

/** From the start of the runtime registers: interrupter 0. */
export const RUNTIME = { IMAN: 0x20, ERSTSZ: 0x28, ERSTBA: 0x30, ERDP: 0x38 } as const;

export const COMMAND = { RUN: 1, RESET: 2, INTERRUPTS: 4 } as const;
export const STATUS_EVENT = 8;
export const INTERRUPTER_ENABLE = 2;
export const PAGE_4_KIB = 1;
/** The controller's interrupt vector. */
export const VECTOR = 0;
/** The least that a controller's BAR has. */
export const REGISTER_BYTES = 4096;

export const TRB_BYTES = 16;
export const CONTEXT_BYTES = 32;

export const TRB = {
  NORMAL: 1,
  SETUP_STAGE: 2,
  STATUS_STAGE: 4,
  LINK: 6,
  ENABLE_SLOT: 9,
  ADDRESS_DEVICE: 11,
  CONFIGURE_ENDPOINT: 12,
  RESET_ENDPOINT: 14,
  SET_DEQUEUE: 16,
  TRANSFER_EVENT: 32,
  COMMAND_EVENT: 33,
} as const;

export const FLAG = {
  CYCLE: 1,
  TOGGLE_CYCLE: 2,
  CHAIN: 16,
  INTERRUPT_ON_SHORT: 4,
  INTERRUPT_ON_COMPLETION: 32,
  /** The parameter is the data itself. */
  IMMEDIATE: 64,
} as const;

export const CODE = { SUCCESS: 1, STALL: 6, SHORT_PACKET: 13 } as const;

/** Endpoints by their number in the device context: control, bulk out 1, bulk in 1. */
export const ENDPOINT = { CONTROL: 1, OUT: 2, IN: 3 } as const;
export const ENDPOINT_TYPE = { CONTROL: 4, OUT: 2, IN: 6 } as const;

/** Completion codes in words (table 6-90). */
const CODE_TEXT: Readonly<Record<number, string>> = {
  2: "data buffer error: memory could not be reached",
  3: "babble: the device sent more than was asked for",
  4: "USB transaction error",
  5: "TRB error",
  6: "stall",
  9: "no slots available",
  11: "slot not enabled",
  12: "endpoint not enabled",
  13: "short packet",
  17: "parameter error",
  19: "context state error",
  26: "stopped",
};

export const describeCode = (code: number): string =>
  `${CODE_TEXT[code] ?? "a completion code without a name here"} (${code})`;

/** Two registers, low half first. */
export function write64(bar: Bar, register: number, value: number): void {
  bar.write32(register, value % 2 ** 32);
  bar.write32(register + 4, Math.floor(value / 2 ** 32));
}
