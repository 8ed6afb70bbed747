/**
 * Redact config: config space with the header, the capability lists and the capabilities that are decoded
 * here; everything else is zero, and addresses are moved.
 *
 * So a serial number (Device Serial Number, VPD), an MSI address or whatever a vendor keeps in
 * capabilities of its own cannot get into a file.
 */
import {
  byteAt,
  CONFIG_BYTES,
  CONFIG_HEADER_BYTES,
  CONFIG_STANDARD_BYTES,
  dwordAt,
  firstCapability,
  headerTypeOfConfig,
  knownConfig,
  wordAt,
} from "../config-space.ts";
import type { AddressShift } from "./address-shift.ts";

/** Bytes kept of a standard capability: power management, subsystem ids of a bridge, PCI Express. */
const STANDARD_BYTES: ReadonlyMap<number, number> = new Map([
  [0x01, 8],
  [0x0d, 8],
  [0x10, 0x3c],
]);
const SRIOV = 0x0010;
/** Extended ones: ACS, ARI, ATS, SR-IOV, resizable BAR, PASID, VF resizable BAR. */
const EXTENDED_BYTES: ReadonlyMap<number, number> = new Map([
  [0x000d, 0x28],
  [0x000e, 8],
  [0x000f, 8],
  [SRIOV, 0x40],
  [0x0015, 0x34],
  [0x001b, 8],
  [0x0024, 0x34],
]);
/** Offset of the six VF BARs in the SR-IOV capability. */
const VF_BARS = 0x24;
const VF_BAR_COUNT = 6;
const COUNT_MAX = 512;

/** Config space as it may be passed on; of the same length. A function that did not answer stays as it is. */
export function redactConfig(config: Uint8Array, shift: AddressShift): Uint8Array {
  const known = knownConfig(config);
  if (known.length === 0) {
    return config.slice();
  }
  const kept = new Uint8Array(config.length);
  kept.set(known.subarray(0, CONFIG_HEADER_BYTES));
  keepStandard(known, kept);
  keepExtended(known, kept, shift);
  shiftHeader(kept, shift);
  return kept;
}

function keepStandard(known: Uint8Array, kept: Uint8Array): void {
  let offset = firstCapability(known);
  for (let seen = 0; seen < COUNT_MAX && offset >= 0x40 && offset + 2 <= known.length; seen++) {
    const bytes = STANDARD_BYTES.get(byteAt(known, offset)) ?? 2;
    const end = Math.min(offset + bytes, CONFIG_STANDARD_BYTES, known.length);
    kept.set(known.subarray(offset, end), offset);
    offset = byteAt(known, offset + 1) & ~3;
  }
}

function keepExtended(known: Uint8Array, kept: Uint8Array, shift: AddressShift): void {
  let offset = known.length < CONFIG_BYTES ? 0 : CONFIG_STANDARD_BYTES;
  for (let seen = 0; seen < COUNT_MAX && offset >= CONFIG_STANDARD_BYTES; seen++) {
    const header = dwordAt(known, offset);
    const id = header % 0x10000;
    const end = Math.min(offset + (EXTENDED_BYTES.get(id) ?? 4), CONFIG_BYTES);
    kept.set(known.subarray(offset, end), offset);
    if (id === SRIOV) {
      shiftBars(kept, offset + VF_BARS, VF_BAR_COUNT, shift);
    }
    offset = Math.floor(header / 0x100000) & ~3;
  }
}

function shiftHeader(kept: Uint8Array, shift: AddressShift): void {
  const kind = headerTypeOfConfig(kept);
  if (kind === 0) {
    shiftBars(kept, 0x10, 6, shift);
    shiftRom(kept, 0x30, shift);
  } else if (kind === 1) {
    shiftBars(kept, 0x10, 2, shift);
    shiftRom(kept, 0x38, shift);
    shiftWindow(kept, 0x20, undefined, shift);
    shiftWindow(kept, 0x24, 0x28, shift);
  } else {
    // A CardBus bridge keeps its socket's address and its windows here; nothing is judged by them.
    kept.fill(0, 0x10, 0x14);
    kept.fill(0, 0x1c, 0x3c);
  }
}

function shiftBars(kept: Uint8Array, first: number, count: number, shift: AddressShift): void {
  for (let index = 0; index < count; index++) {
    const at = first + index * 4;
    const low = dwordAt(kept, at);
    const isWide = (low & 7) === 4 && index + 1 < count;
    if ((low & 1) === 0 && low !== 0 && low !== 0xffffffff) {
      const high = isWide ? dwordAt(kept, at + 4) : 0;
      const address = high * 2 ** 32 + (low - (low & 15));
      if (Number.isSafeInteger(address)) {
        const moved = shift.of(address);
        setDword(kept, at, (moved % 2 ** 32) + (low & 15));
        if (isWide) {
          setDword(kept, at + 4, Math.floor(moved / 2 ** 32));
        }
      }
    }
    index += isWide ? 1 : 0;
  }
}

/** Bits 31:11 are the address; bit 0 says whether it is in use. */
function shiftRom(kept: Uint8Array, at: number, shift: AddressShift): void {
  const register = dwordAt(kept, at);
  const low = register % 0x800;
  setDword(kept, at, shift.of(register - low) + low);
}

/** Base and limit of a window, with their upper halves at `upper` where it is a wide one. */
function shiftWindow(
  kept: Uint8Array,
  at: number,
  upper: number | undefined,
  shift: AddressShift,
): void {
  const isWide = upper !== undefined && (wordAt(kept, at) & 0xf) === 1;
  const read = (register: number, high: number): number =>
    (isWide ? dwordAt(kept, high) * 2 ** 32 : 0) + (wordAt(kept, register) >> 4) * 2 ** 20;
  const high = upper ?? 0;
  const [base, limit] = [read(at, high), read(at + 2, high + 4)];
  if (limit < base || limit === 0 || !Number.isSafeInteger(limit)) {
    return;
  }
  const moved = shift.of(base);
  for (const [register, top, address] of [
    [at, high, moved],
    [at + 2, high + 4, moved + (limit - base)],
  ] as const) {
    const kind = wordAt(kept, register) & 0xf;
    setWord(kept, register, ((Math.floor(address / 2 ** 20) % 0x1000) << 4) | kind);
    if (isWide) {
      setDword(kept, top, Math.floor(address / 2 ** 32));
    }
  }
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = value >> 8;
}

function setDword(bytes: Uint8Array, at: number, value: number): void {
  setWord(bytes, at, value % 0x10000);
  setWord(bytes, at + 2, Math.floor(value / 0x10000));
}
