/**
 * Config space: what the first 64 bytes of a PCI function say, and how far a capture reaches.
 *
 * A capture rarely holds all 4,096 bytes. An ordinary user reads only the header (64 bytes, 128 of a
 * CardBus bridge); a conventional function has 256. How much is *known* decides whether a missing
 * capability means "has none" or "not captured", so `knownConfig` is asked before anything else.
 *
 * Registers: PCI Local Bus 3.0 section 6.1 and PCI-to-PCI Bridge 1.2 section 3.2.
 * Capabilities are in `capabilities.ts`.
 */
import type { BarRecord, WindowRecord } from "./function-record.ts";

export const CONFIG_HEADER_BYTES = 64;
export const CONFIG_STANDARD_BYTES = 256;
export const CONFIG_BYTES = 4096;
/** Lengths the kernel gives a `config` file or an ordinary user may read of it; 0 for an unreadable one. */
export const CONFIG_LENGTHS: readonly number[] = [
  0,
  CONFIG_HEADER_BYTES,
  128,
  CONFIG_STANDARD_BYTES,
  CONFIG_BYTES,
];

const STATUS_CAPABILITY_LIST = 0x10;
const MIB = 2 ** 20;

/** Little endian reads; the caller stays within the bytes it knows. */
export const byteAt = (config: Uint8Array, offset: number): number => config[offset] ?? 0xff;
export const wordAt = (config: Uint8Array, offset: number): number =>
  byteAt(config, offset) | (byteAt(config, offset + 1) << 8);
export const dwordAt = (config: Uint8Array, offset: number): number =>
  wordAt(config, offset) + wordAt(config, offset + 2) * 0x10000;

/** True when the function did not answer: every byte of the header reads as ones (asleep, or gone). */
const isSilent = (config: Uint8Array): boolean =>
  config.subarray(0, CONFIG_HEADER_BYTES).every((byte) => byte === 0xff);

/** Low seven bits of the header type register; callers check that the header is known. */
export const headerTypeOfConfig = (config: Uint8Array): number => byteAt(config, 0x0e) & 0x7f;

const hasCapabilityList = (config: Uint8Array): boolean =>
  (wordAt(config, 0x06) & STATUS_CAPABILITY_LIST) !== 0;

/** Offset of the first capability, 0 without a list. CardBus bridges keep the pointer at 0x14. */
export function firstCapability(config: Uint8Array): number {
  if (!hasCapabilityList(config)) {
    return 0;
  }
  return byteAt(config, headerTypeOfConfig(config) === 2 ? 0x14 : 0x34) & ~3;
}

/**
 * The part of config space that was really read: nothing of a silent function, and only the header
 * where the rest is padding. `tar` run by an ordinary user pads the unread part of `config` with
 * zeros up to the size sysfs announces; a list of capabilities that starts in zeros gives it away.
 */
export function knownConfig(config: Uint8Array): Uint8Array {
  if (config.length < CONFIG_HEADER_BYTES || isSilent(config)) {
    return config.subarray(0, 0);
  }
  return firstCapability(config) >= CONFIG_HEADER_BYTES && isHeaderOnly(config)
    ? config.subarray(0, CONFIG_HEADER_BYTES)
    : config;
}

/** True when nothing but zeros follows the header. */
export const isHeaderOnly = (config: Uint8Array): boolean =>
  config.subarray(CONFIG_HEADER_BYTES).every((byte) => byte === 0);

/** BARs of a known header, without the ROM. Registers tell addresses, not sizes; an empty register is no BAR. */
export function barsOfConfig(config: Uint8Array): BarRecord[] {
  const slots = headerTypeOfConfig(config) === 0 ? 6 : 2;
  const bars: BarRecord[] = [];
  for (let index = 0; index < slots; index++) {
    const bar = barAt(config, index);
    if (bar !== undefined) {
      bars.push(bar);
      index += bar.wide ? 1 : 0;
    }
  }
  return bars;
}

function barAt(config: Uint8Array, index: number): BarRecord | undefined {
  const low = dwordAt(config, 0x10 + index * 4);
  if (low === 0 || low === 0xffffffff) {
    return undefined;
  }
  if ((low & 1) !== 0) {
    return { index, start: low - (low & 3), kind: "io", wide: false, prefetchable: false };
  }
  const wide = (low & 6) === 4;
  const high = wide ? dwordAt(config, 0x14 + index * 4) : 0;
  const start = high * 2 ** 32 + (low - (low & 15));
  return Number.isSafeInteger(start)
    ? { index, start, kind: "memory", wide, prefetchable: (low & 8) !== 0, assigned: start !== 0 }
    : undefined;
}

/** Open windows of a known type 1 header. A window of all zeros was never programmed. */
export function windowsOfConfig(config: Uint8Array): WindowRecord[] {
  return [ioWindow(config), memoryWindow(config), prefetchableWindow(config)].filter(
    (window) => window !== undefined,
  );
}

function ioWindow(config: Uint8Array): WindowRecord | undefined {
  const wide = (byteAt(config, 0x1c) & 0xf) === 1;
  const upper = (offset: number): number => (wide ? wordAt(config, offset) * 0x10000 : 0);
  const base = upper(0x30) + (byteAt(config, 0x1c) >> 4) * 0x1000;
  const limit = upper(0x32) + (byteAt(config, 0x1d) >> 4) * 0x1000;
  return windowOf("io", base, limit, 0x1000);
}

const memoryWindow = (config: Uint8Array): WindowRecord | undefined =>
  windowOf("memory", (wordAt(config, 0x20) >> 4) * MIB, (wordAt(config, 0x22) >> 4) * MIB, MIB);

function prefetchableWindow(config: Uint8Array): WindowRecord | undefined {
  const wide = (wordAt(config, 0x24) & 0xf) === 1;
  const upper = (offset: number): number => (wide ? dwordAt(config, offset) * 2 ** 32 : 0);
  const base = upper(0x28) + (wordAt(config, 0x24) >> 4) * MIB;
  const limit = upper(0x2c) + (wordAt(config, 0x26) >> 4) * MIB;
  return windowOf("prefetchable", base, limit, MIB);
}

function windowOf(
  kind: WindowRecord["kind"],
  base: number,
  limit: number,
  granuleBytes: number,
): WindowRecord | undefined {
  const size = limit - base + granuleBytes;
  const isOpen = limit > 0 && size > 0 && Number.isSafeInteger(limit + granuleBytes);
  return isOpen ? { kind, start: base, size } : undefined;
}
