/**
 * GPU window: how much of VRAM its large BAR shows, and how a driver makes it more.
 *
 * A resizable BAR (PCIe base specification, section 7.8.6) comes up small and may be widened. Here the BAR of the
 * capture is what the firmware has left room for; the GPU decodes only the first part of it until its driver
 * asks for more. What lies beyond is answered with Completer Abort: real hardware would not claim it.
 */
import { InputError } from "@peerbuf/core";

const MIB = 2 ** 20;

export class GpuWindow {
  readonly #barBytes: number;
  readonly #startBytes: number;
  #bytes: number;

  /** `startBytes` undefined: a BAR of a fixed size. `InputError` for one that no resizable BAR can have. */
  constructor(barBytes: number, startBytes: number | undefined) {
    if (startBytes !== undefined && !(isPossible(startBytes) && startBytes <= barBytes)) {
      throw new InputError({
        source: "gpu model",
        place: "windowBytes",
        cause: `${startBytes} bytes are no size of a resizable BAR within one of ${barBytes} bytes`,
        remedy: "State a power of two, 1 MiB or more",
      });
    }
    this.#barBytes = barBytes;
    this.#startBytes = startBytes ?? barBytes;
    this.#bytes = this.#startBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bit n: it may have 2^n MiB, as in the capability register (from bit 4 on there). 0: it is fixed. */
  get sizes(): number {
    let sizes = 0;
    for (let power = 0; power < 31 && MIB * 2 ** power <= this.#barBytes; power++) {
      sizes += MIB * 2 ** power < this.#startBytes ? 0 : 2 ** power;
    }
    return this.#startBytes === this.#barBytes ? 0 : sizes;
  }

  /** The size as a power of two of MiB. */
  get power(): number {
    return Math.floor(Math.log2(this.#bytes / MIB));
  }

  /** Changes nothing for a size that it may not have. */
  resize(power: number): void {
    if (power < 31 && (this.sizes & (2 ** power)) !== 0) {
      this.#bytes = MIB * 2 ** power;
    }
  }

  reset(): void {
    this.#bytes = this.#startBytes;
  }
}

const isPossible = (bytes: number): boolean => bytes >= MIB && Number.isInteger(Math.log2(bytes));
