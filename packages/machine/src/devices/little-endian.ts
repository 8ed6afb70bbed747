/**
 * 64-bit little-endian fields in rings and tables, as plain numbers.
 *
 * Devices and drivers exchange addresses and lengths in 64 bits. Up to 2^53 - 1 they are exact; a
 * larger one, which only a broken driver writes, comes out as the nearest number and reaches nothing.
 */
const HALF = 2 ** 32;

export function readU64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * HALF + view.getUint32(offset, true);
}

export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % HALF, true);
  view.setUint32(offset + 4, Math.floor(value / HALF), true);
}

/** The number that two 32-bit registers hold together. */
export function joinU64(low: number, high: number): number {
  return high * HALF + low;
}
