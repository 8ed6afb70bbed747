/**
 * Hex row: one line of a config space dump, `40: 05 c0 86 01 ...`, as `lspci -x` to `-xxxx` print it.
 *
 * These lines are nearly all of a large file, so nothing is allocated for one.
 */
import { CONFIG_BYTES, CONFIG_LENGTHS } from "../../config-space.ts";

const BYTES_A_ROW = 16;

/** Value of a lower or upper case hex digit, -1 for any other character. */
function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) {
    return code - 0x30;
  }
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Where the bytes of a row start in the line, or -1 when the line (from `at`) is no row. */
export function hexRowStart(line: string, at: number): number {
  let colon = at;
  while (colon < at + 4 && digit(line.charCodeAt(colon)) >= 0) {
    colon += 1;
  }
  const isRow =
    colon - at >= 2 &&
    line.charCodeAt(colon) === 0x3a &&
    line.charCodeAt(colon + 1) === 0x20 &&
    digit(line.charCodeAt(colon + 2)) >= 0 &&
    digit(line.charCodeAt(colon + 3)) >= 0 &&
    (line.length === colon + 4 || line.charCodeAt(colon + 4) === 0x20);
  return isRow ? colon + 2 : -1;
}

/** Rows put together: as many bytes as follow one another from offset 0. */
export class ConfigRows {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** Adds the row at `at`, whose bytes start at `start`. A row out of order adds nothing. */
  add(line: string, at: number, start: number): void {
    const offset = Number.parseInt(line.slice(at, start - 2), 16);
    if (offset !== this.#length || offset + BYTES_A_ROW > CONFIG_BYTES) {
      return;
    }
    if (offset + BYTES_A_ROW > this.#bytes.length) {
      const larger = new Uint8Array(CONFIG_BYTES);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    for (let place = start; this.#length < offset + BYTES_A_ROW; place += 3) {
      const high = digit(line.charCodeAt(place));
      const low = digit(line.charCodeAt(place + 1));
      if (high < 0 || low < 0) {
        return; // The line was cut: what was read so far stands.
      }
      this.#bytes[this.#length++] = high * 16 + low;
    }
  }

  /** The bytes, cut to a length that config space can have: what lies beyond was not captured. */
  get bytes(): Uint8Array {
    const isCardBus = this.#length >= 128 && ((this.#bytes[0x0e] as number) & 0x7f) === 2;
    const lengths = CONFIG_LENGTHS.filter((length) => length !== 128 || isCardBus);
    return this.#bytes.subarray(0, lengths.findLast((length) => length <= this.#length) ?? 0);
  }
}
