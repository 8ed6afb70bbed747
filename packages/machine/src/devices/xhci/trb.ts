/**
 * TRB: 16 bytes of work or news in an xHCI ring (xHCI 1.2 section 6.4).
 *
 * A parameter of 8 bytes, a status word and a control word. Bit 0 of control is the cycle bit, bits 15:10
 * are the type; what else stands where depends on the type.
 */
import { readU64, writeU64 } from "../little-endian.ts";

export const TRB_BYTES = 16;

export const TRB = {
  NORMAL: 1,
  SETUP_STAGE: 2,
  DATA_STAGE: 3,
  STATUS_STAGE: 4,
  LINK: 6,
  ENABLE_SLOT: 9,
  DISABLE_SLOT: 10,
  ADDRESS_DEVICE: 11,
  CONFIGURE_ENDPOINT: 12,
  RESET_ENDPOINT: 14,
  STOP_ENDPOINT: 15,
  SET_DEQUEUE: 16,
  RESET_DEVICE: 17,
  NO_OP_COMMAND: 23,
  TRANSFER_EVENT: 32,
  COMMAND_EVENT: 33,
} as const;

/** How a transfer or a command ended (table 6-90). */
export const CODE = {
  SUCCESS: 1,
  DATA_BUFFER_ERROR: 2,
  BABBLE: 3,
  TRB_ERROR: 5,
  STALL: 6,
  NO_SLOTS: 9,
  SLOT_NOT_ENABLED: 11,
  ENDPOINT_NOT_ENABLED: 12,
  SHORT_PACKET: 13,
  PARAMETER_ERROR: 17,
  CONTEXT_STATE_ERROR: 19,
  STOPPED: 26,
} as const;

export type Code = (typeof CODE)[keyof typeof CODE];

/** Flags of the control word. */
export const TRB_FLAG = {
  CYCLE: 1,
  /** Of a link: the cycle state turns behind it. */
  TOGGLE_CYCLE: 2,
  /** An event when less came than was asked for. */
  INTERRUPT_ON_SHORT: 4,
  /** The next TRB belongs to the same transfer. */
  CHAIN: 16,
  INTERRUPT_ON_COMPLETION: 32,
} as const;

export interface Trb {
  /** Where it stands. */
  readonly address: number;
  readonly parameter: number;
  /** The upper half of the parameter, which as one number may not be exact. */
  readonly parameterHigh: number;
  readonly status: number;
  readonly control: number;
}

/** One that the controller writes. */
export type NewTrb = Omit<Trb, "address" | "parameterHigh">;

export function decodeTrb(view: DataView, address: number): Trb {
  return {
    address,
    parameter: readU64(view, 0),
    parameterHigh: view.getUint32(4, true),
    status: view.getUint32(8, true),
    control: view.getUint32(12, true),
  };
}

export function encodeTrb(view: DataView, { parameter, status, control }: NewTrb): void {
  writeU64(view, 0, parameter);
  view.setUint32(8, status, true);
  view.setUint32(12, control >>> 0, true);
}

export const typeOf = ({ control }: Trb): number => (control >>> 10) & 0x3f;
/** Bytes of the buffer of a transfer TRB; 17 bits, so 64 KiB fit. */
export const bufferBytesOf = ({ status }: Trb): number => status & 0x1_ffff;
export const slotOf = ({ control }: Trb): number => control >>> 24;
export const endpointOf = ({ control }: Trb): number => (control >>> 16) & 0x1f;
