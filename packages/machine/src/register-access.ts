/**
 * Register access: cuts a request into the accesses that register models are made for.
 *
 * One of exactly 8 aligned bytes arrives whole; anything else in naturally aligned pieces of 4, 2 or
 * 1. Numbers are exact up to 2^53 - 1, so a write of 8 bytes beyond that arrives as two of 4.
 * Bytes are little-endian, as on PCI.
 */
import type { BarModel } from "./device-model.ts";

export type Registers = Extract<BarModel, { kind: "registers" }>;

const TWO_32 = 2 ** 32;
const HIGH_WORD_MAX = 2 ** 21;

export function readRegisters(
  registers: Registers,
  offset: number,
  target: Uint8Array,
  targetOffset: number,
  lengthBytes: number,
): void {
  for (let done = 0; done < lengthBytes; ) {
    const width = widthAt(offset + done, lengthBytes - done, lengthBytes);
    let value = registers.read(offset + done, width);
    value = width === 4 ? value >>> 0 : value;
    for (let index = 0; index < width; index++) {
      target[targetOffset + done + index] = value % 256;
      value = Math.floor(value / 256);
    }
    done += width;
  }
}

export function writeRegisters(
  registers: Registers,
  offset: number,
  source: Uint8Array,
  sourceOffset: number,
  lengthBytes: number,
): void {
  for (let done = 0; done < lengthBytes; ) {
    const width = widthAt(offset + done, lengthBytes - done, lengthBytes);
    const from = sourceOffset + done;
    const high = width === 8 ? littleEndian(source, from + 4, 4) : 0;
    if (high >= HIGH_WORD_MAX) {
      registers.write(offset + done, 4, littleEndian(source, from, 4));
      registers.write(offset + done + 4, 4, high);
    } else {
      const low = littleEndian(source, from, Math.min(width, 4));
      registers.write(offset + done, width, high * TWO_32 + low);
    }
    done += width;
  }
}

function widthAt(offset: number, left: number, lengthBytes: number): number {
  if (lengthBytes === 8 && offset % 8 === 0 && left === 8) {
    return 8;
  }
  if (left >= 4 && offset % 4 === 0) {
    return 4;
  }
  return left >= 2 && offset % 2 === 0 ? 2 : 1;
}

function littleEndian(bytes: Uint8Array, offset: number, width: number): number {
  let value = 0;
  for (let index = width - 1; index >= 0; index--) {
    value = value * 256 + (bytes[offset + index] as number);
  }
  return value;
}
