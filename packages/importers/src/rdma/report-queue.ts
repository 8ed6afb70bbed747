/**
 * Report queue, the driver's side: what the NIC tells, in the order in which it tells it.
 */
import type { CoherentMemory, DeviceDma } from "@peerbuf/core";
import { REPORT_BYTES } from "./entries.ts";

export class ReportQueue {
  readonly memory: CoherentMemory;
  readonly entries: number;
  readonly #dma: DeviceDma;
  readonly #ringDoorbell: (head: number) => void;
  readonly #report = new Uint8Array(REPORT_BYTES);
  readonly #view = new DataView(this.#report.buffer);
  #head = 0;
  #phase = 1;
  #isFreed = false;

  constructor(dma: DeviceDma, entries: number, ringDoorbell: (head: number) => void) {
    this.#dma = dma;
    this.#ringDoorbell = ringDoorbell;
    this.entries = entries;
    this.memory = dma.allocateCoherent(entries * REPORT_BYTES);
  }

  /** Takes in all that is new. `take` gets the four words of a report. */
  takeIn(take: (one: number, two: number, three: number, four: number) => void): void {
    const before = this.#head;
    while (this.#isNew()) {
      this.#head = (this.#head + 1) % this.entries;
      if (this.#head === 0) {
        this.#phase ^= 1;
      }
      take(this.#word(0), this.#word(1), this.#word(2), this.#word(3));
    }
    if (this.#head !== before && !this.#isFreed) {
      this.#ringDoorbell(this.#head);
    }
  }

  /** Even while reports are taken in: whoever hears one may stop the NIC. */
  free(): void {
    this.#isFreed = true;
    this.#dma.freeCoherent(this.memory);
  }

  /** Reads the next report; its phase says whether it is one. */
  #isNew(): boolean {
    if (this.#isFreed) {
      return false;
    }
    this.memory.read(this.#head * REPORT_BYTES, this.#report);
    return this.#word(7) === this.#phase;
  }

  #word(index: number): number {
    return this.#view.getUint32(4 * index, true);
  }
}
