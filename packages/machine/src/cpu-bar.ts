/**
 * CPU BAR: a function's BAR as a driver on the processor reads and writes it.
 *
 * Goes through the fabric from the root complex down, so a BAR outside of its bridges' windows reads
 * as all ones here too.
 */
import { type Bar, PeerbufError, type PhysicalAddress, physicalAddress } from "@peerbuf/core";
import type { BarSlot } from "./bar-slot.ts";
import type { Fabric } from "./fabric.ts";

export class CpuBar implements Bar {
  readonly index: number;
  readonly start: PhysicalAddress;
  readonly sizeBytes: number;
  readonly prefetchable: boolean;
  readonly #fabric: Fabric;
  readonly #word = new Uint8Array(4);
  readonly #view = new DataView(this.#word.buffer);

  constructor(slot: BarSlot, fabric: Fabric) {
    this.index = slot.index;
    this.start = physicalAddress(slot.start);
    this.sizeBytes = slot.sizeBytes;
    this.prefetchable = slot.prefetchable;
    this.#fabric = fabric;
  }

  read32(offset: number): number {
    this.read(offset, this.#word);
    return this.#view.getUint32(0, true);
  }

  write32(offset: number, value: number): void {
    this.#view.setUint32(0, value, true);
    this.write(offset, this.#word);
  }

  read(offset: number, target: Uint8Array): void {
    this.#check(offset, target.length);
    this.#fabric.read(this.#fabric.processors, this.start + offset, target, 0, target.length);
  }

  write(offset: number, source: Uint8Array): void {
    this.#check(offset, source.length);
    this.#fabric.write(this.#fabric.processors, this.start + offset, source, 0, source.length);
  }

  #check(offset: number, lengthBytes: number): void {
    const isWithin = offset >= 0 && offset + lengthBytes <= this.sizeBytes;
    if (!(Number.isSafeInteger(offset) && isWithin)) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `${lengthBytes} bytes at offset ${offset} are not within BAR${this.index} of ${this.sizeBytes} bytes`,
      );
    }
  }
}
