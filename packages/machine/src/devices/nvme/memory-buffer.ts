/**
 * Controller memory buffer: memory of the drive that the host and peers may use (NVMe 1.4 section 4.7).
 *
 * Its registers say in which BAR it lies, from where and how large; they read as 0 until the host has
 * enabled them (CMBMSC.CRE), and the memory answers peers whether enabled or not. Queues in it and
 * elasticity are not modelled: SQS, CQS and LISTS are 0, data of reads and writes is allowed.
 */
import type { BarModel, BarShape } from "../../device-model.ts";
import { SparseMemory } from "../../sparse-memory.ts";

/** Offsets in BAR0 (sections 3.1.11, 3.1.12 and 3.1.16). */
export const CMB_REGISTER = { LOCATION: 0x38, SIZE: 0x3c, CONTROL_LOW: 0x50, CONTROL_HIGH: 0x54 };

/** CAP.CMBS, bit 57. */
export const CAP_HIGH_CMB: number = 1 << 25;

/** CMBMSC.CRE: the other two registers show what they hold. */
const CAPABILITIES_ENABLED = 1 << 0;
/** CMBSZ.RDS and WDS: read and write data may lie in the buffer. */
const DATA_SUPPORTED = (1 << 3) | (1 << 4);
/** CMBSZ.SZU: units of 4 KiB times 16 to this power. */
const UNIT_64_KIB = 1;
const UNIT_BYTES = 64 * 1024;

/** Chooses the function's largest prefetchable BAR besides BAR0. `undefined`: a drive without one. */
export function placeMemoryBuffer(bars: readonly BarShape[]): MemoryBuffer | undefined {
  const [bar] = bars
    .filter(({ index, prefetchable }) => index !== 0 && prefetchable)
    .sort((one, other) => other.sizeBytes - one.sizeBytes);
  return bar === undefined || bar.sizeBytes < UNIT_BYTES ? undefined : new MemoryBuffer(bar);
}

export class MemoryBuffer {
  readonly barIndex: number;
  readonly memory: SparseMemory;
  #controlLow = 0;
  #controlHigh = 0;

  constructor({ index, sizeBytes }: BarShape) {
    this.barIndex = index;
    this.memory = new SparseMemory(sizeBytes);
  }

  get bar(): BarModel {
    return { kind: "memory", memory: this.memory, base: 0 };
  }

  powerOn(): void {
    this.#controlLow = 0;
    this.#controlHigh = 0;
    this.memory.clear();
  }

  /** `undefined`: not one of its registers. */
  read32(offset: number): number | undefined {
    const shown = (this.#controlLow & CAPABILITIES_ENABLED) !== 0;
    switch (offset) {
      case CMB_REGISTER.LOCATION:
        return shown ? this.barIndex : 0; // OFST 0: from the start of the BAR.
      case CMB_REGISTER.SIZE:
        return shown ? this.#size() : 0;
      case CMB_REGISTER.CONTROL_LOW:
        return this.#controlLow;
      case CMB_REGISTER.CONTROL_HIGH:
        return this.#controlHigh;
      default:
        return undefined;
    }
  }

  /** Keeps a write to one of its registers; ignores all others. */
  write32(offset: number, value: number): void {
    if (offset === CMB_REGISTER.CONTROL_LOW) {
      this.#controlLow = value;
    } else if (offset === CMB_REGISTER.CONTROL_HIGH) {
      this.#controlHigh = value;
    }
  }

  #size(): number {
    const units = Math.floor(this.memory.sizeBytes / UNIT_BYTES);
    return units * 2 ** 12 + ((UNIT_64_KIB << 8) | DATA_SUPPORTED);
  }
}
