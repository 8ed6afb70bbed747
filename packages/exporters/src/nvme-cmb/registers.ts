/**
 * NVMe registers of the controller memory buffer, as the driver uses them (NVMe 1.4 section 3.1).
 */
import { type Bar, PeerbufError } from "@peerbuf/core";

const REGISTER = {
  CAP_HIGH: 0x04,
  STATUS: 0x1c,
  LOCATION: 0x38,
  SIZE: 0x3c,
  CONTROL: 0x50,
} as const;

/** CAP.CMBS. Before NVMe 1.4 there was no such bit, and the other registers were always shown. */
const HAS_CONTROL = 1 << 25;
/** CMBMSC.CRE. */
const SHOW_CAPABILITIES = 1 << 0;
/** CMBSZ.RDS and WDS: data of reads and writes may lie in the buffer. */
const DATA = (1 << 3) | (1 << 4);

/** Where the buffer lies, in bytes of a BAR. */
export interface CmbPlace {
  readonly barIndex: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Enables and reads the registers. `DEVICE_FAILED` when the drive has no buffer that holds data. */
export function findCmb(registers: Bar, label: string): CmbPlace {
  if ((registers.read32(REGISTER.CAP_HIGH) & HAS_CONTROL) !== 0) {
    registers.write32(REGISTER.CONTROL, SHOW_CAPABILITIES);
  }
  const size = registers.read32(REGISTER.SIZE);
  const location = registers.read32(REGISTER.LOCATION);
  const units = size >>> 12;
  if (units === 0) {
    throw new PeerbufError("DEVICE_FAILED", `${label} has no controller memory buffer`);
  }
  if ((size & DATA) !== DATA) {
    throw new PeerbufError(
      "DEVICE_FAILED",
      `${label}: its controller memory buffer takes no data of both reads and writes (CMBSZ 0x${size.toString(16)})`,
    );
  }
  const unitBytes = 2 ** (12 + 4 * ((size >>> 8) & 0xf));
  return {
    barIndex: location & 0x7,
    offset: (location >>> 12) * unitBytes,
    sizeBytes: units * unitBytes,
  };
}

/** `DEVICE_GONE` for a controller status of all ones, which no controller shows that is there (NVMe 1.4, 3.1.6). */
export function requireAnswer(registers: Bar, label: string): void {
  if (registers.read32(REGISTER.STATUS) === 0xffff_ffff) {
    throw new PeerbufError("DEVICE_GONE", `${label} does not answer any more`);
  }
}

/** Registers go back to their quiet state; the memory answers either way. */
export function hideCmb(registers: Bar): void {
  registers.write32(REGISTER.CONTROL, 0);
}
