/**
 * NVMe registers and fields that the driver uses (NVMe 1.4 section 3.1).
 */
import type { Bar } from "@peerbuf/core";

export const REGISTER = {
  CAP_LOW: 0x00,
  CAP_HIGH: 0x04,
  CONFIGURATION: 0x14,
  STATUS: 0x1c,
  ADMIN_QUEUE_ATTRIBUTES: 0x24,
  ADMIN_SQ: 0x28,
  ADMIN_CQ: 0x30,
  DOORBELLS: 0x1000,
} as const;

/** Registers and the doorbells of two queue pairs. */
export const REGISTER_BYTES = 0x1010;

/** CC: enabled, NVM command set, 4 KiB pages, entries of 64 and 16 bytes. */
export const ENABLE: number = (4 << 20) | (6 << 16) | 1;

/** What any register of a function reads as that is not there. */
export const NOT_THERE = 0xffff_ffff;

export const STATUS_READY: number = 1 << 0;
export const STATUS_FATAL: number = 1 << 1;

export interface Capabilities {
  /** Entries of the largest queue. */
  readonly queueEntriesMax: number;
  /** How long the controller may take to become ready. */
  readonly readyTimeoutNs: number;
  /** Bytes from one doorbell to the next. */
  readonly doorbellBytes: number;
  /** 4 KiB pages are possible. */
  readonly takes4KiBPages: boolean;
}

export function readCapabilities(bar: Bar): Capabilities {
  const low = bar.read32(REGISTER.CAP_LOW);
  const high = bar.read32(REGISTER.CAP_HIGH);
  return {
    queueEntriesMax: (low & 0xffff) + 1,
    readyTimeoutNs: (low >>> 24) * 500_000_000,
    doorbellBytes: 4 << (high & 0xf),
    takes4KiBPages: ((high >>> 16) & 0xf) === 0,
  };
}

/** Two registers, low half first. */
export function writeAddress(bar: Bar, register: number, address: number): void {
  bar.write32(register, address % 2 ** 32);
  bar.write32(register + 4, Math.floor(address / 2 ** 32));
}
