/**
 * Register window: a BAR made of 32-bit registers.
 *
 * A device model writes only the two 32-bit handlers; accesses of 8 bytes become two of 4, low half
 * first, and reads of 1 and 2 bytes pick from the register they fall in. Narrow writes are dropped,
 * as the modelled devices do with them (NVMe 1.4 section 3.1 leaves them undefined).
 */
import type { BarModel } from "../device-model.ts";

export interface Registers32 {
  /** `offset` is a multiple of 4. Registers that are not there read as 0. */
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

export function registerWindow(registers: Registers32): BarModel {
  return {
    kind: "registers",
    read(offset, sizeBytes) {
      const register = offset - (offset % 4);
      const low = registers.read32(register);
      if (sizeBytes === 8) {
        return registers.read32(register + 4) * 2 ** 32 + low;
      }
      return sizeBytes === 4 ? low : narrowed(low, offset % 4, sizeBytes);
    },
    write(offset, sizeBytes, value) {
      if (sizeBytes >= 4) {
        registers.write32(offset, value % 2 ** 32);
      }
      if (sizeBytes === 8) {
        registers.write32(offset + 4, Math.floor(value / 2 ** 32));
      }
    },
  };
}

function narrowed(value: number, byteOffset: number, sizeBytes: number): number {
  return Math.floor(value / 2 ** (8 * byteOffset)) % 2 ** (8 * sizeBytes);
}
