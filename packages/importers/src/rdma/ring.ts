/**
 * Ring: one queue of entries that the NIC takes in order.
 *
 * Who finds it full waits in turn. Entries end in the order in which they went in, so a count is
 * enough to know what is free.
 */
import { type CoherentMemory, type DeviceDma, PAGE_BYTES } from "@peerbuf/core";
import { ENTRY_BYTES } from "./entries.ts";

/** One page. One slot stays empty. */
export const RING_ENTRIES: number = PAGE_BYTES / ENTRY_BYTES;

export class Ring {
  readonly memory: CoherentMemory;
  readonly #dma: DeviceDma;
  readonly #ringDoorbell: (tail: number) => void;
  readonly #waiting: (() => void)[] = [];
  #tail = 0;
  #inFlight = 0;

  constructor(dma: DeviceDma, ringDoorbell: (tail: number) => void) {
    this.#dma = dma;
    this.#ringDoorbell = ringDoorbell;
    this.memory = dma.allocateCoherent(RING_ENTRIES * ENTRY_BYTES);
  }

  /** Resolves when there is room for one entry, which the caller then puts in. */
  async room(): Promise<void> {
    if (this.#inFlight === RING_ENTRIES - 1) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#inFlight++;
    }
  }

  put(entry: Uint8Array): void {
    this.memory.write(this.#tail * ENTRY_BYTES, entry);
    this.#tail = (this.#tail + 1) % RING_ENTRIES;
    this.#ringDoorbell(this.#tail);
  }

  /** One entry is over: its room goes to whoever waits first. */
  finished(): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#inFlight--;
    } else {
      next();
    }
  }

  free(): void {
    this.#dma.freeCoherent(this.memory);
  }
}
