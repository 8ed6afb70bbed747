/**
 * List pool: memory for PRP lists, a fixed part of it for each command that can be on its way.
 */
import { type CoherentMemory, type DeviceDma, PAGE_BYTES } from "@peerbuf/core";
import type { PrpPointers } from "./commands.ts";
import type { PageCursor } from "./page-cursor.ts";
import { buildPrps, listPagesFor } from "./prp-list.ts";
import { QUEUE_ENTRIES } from "./queue-pair.ts";

export class ListPool {
  readonly #dma: DeviceDma;
  readonly #memory: CoherentMemory;
  readonly #slotBytes: number;
  readonly #bytes: Uint8Array;

  /** For commands of at most so many bytes of data. */
  constructor(dma: DeviceDma, commandBytesMax: number) {
    this.#dma = dma;
    this.#slotBytes = listPagesFor(commandBytesMax) * PAGE_BYTES;
    this.#memory = dma.allocateCoherent(QUEUE_ENTRIES * this.#slotBytes);
    this.#bytes = new Uint8Array(this.#slotBytes);
  }

  /** Describes the cursor's next `lengthBytes` in the list memory of `slot`. */
  describe(slot: number, cursor: PageCursor, lengthBytes: number): PrpPointers {
    const offset = slot * this.#slotBytes;
    const deviceAddress = this.#memory.deviceAddress + offset;
    const prps = buildPrps(cursor, lengthBytes, { bytes: this.#bytes, deviceAddress });
    this.#memory.write(offset, this.#bytes.subarray(0, prps.listBytes));
    return prps;
  }

  close(): void {
    this.#dma.freeCoherent(this.#memory);
  }
}
