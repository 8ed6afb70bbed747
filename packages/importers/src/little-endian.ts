/** 64-bit little-endian fields as plain numbers, exact up to 2^53 - 1. */
const HALF = 2 ** 32;

export function readU64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * HALF + view.getUint32(offset, true);
}

export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % HALF, true);
  view.setUint32(offset + 4, Math.floor(value / HALF), true);
}
