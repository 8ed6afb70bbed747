/**
 * List pool: memory for PRP lists and SGLs, a fixed part of it for each command that can be on its way.
 *
 * PRPs where they can tell the data, SGLs where only they can: no other choice needs a bounce.
 */
import { type CoherentMemory, type DeviceDma, PAGE_BYTES } from "@peerbuf/core";
import type { DataPointer } from "./commands.ts";
import type { PageCursor } from "./page-cursor.ts";
import { pageShapedBytes } from "./page-shape.ts";
import { buildPrps, listPagesFor } from "./prp-list.ts";
import { QUEUE_ENTRIES } from "./queue-pair.ts";
import { buildSgl, describableBytes, SGL_DESCRIPTOR_BYTES } from "./sgl-list.ts";

/** What describes data to the drive; `auto` is PRPs wherever they can. */
export type DataPointers = "auto" | "prp" | "sgl";

/** Some of a transfer, as one command tells it. */
export interface Described {
  readonly pointer: DataPointer;
  readonly lengthBytes: number;
}

export class ListPool {
  readonly #dma: DeviceDma;
  readonly #pointers: DataPointers;
  readonly #blockBytes: number;
  readonly #memory: CoherentMemory;
  readonly #slotBytes: number;
  readonly #bytes: Uint8Array;

  /** For commands of at most so many bytes of data, in whole blocks. */
  constructor(
    dma: DeviceDma,
    pointers: DataPointers,
    { commandBytesMax, blockBytes }: { commandBytesMax: number; blockBytes: number },
  ) {
    this.#dma = dma;
    this.#pointers = pointers;
    this.#blockBytes = blockBytes;
    // One block can always be told, even byte by byte.
    const blockList = pointers === "prp" ? 0 : blockBytes * SGL_DESCRIPTOR_BYTES;
    this.#slotBytes = Math.max(listPagesFor(commandBytesMax) * PAGE_BYTES, blockList);
    this.#memory = dma.allocateCoherent(QUEUE_ENTRIES * this.#slotBytes);
    this.#bytes = new Uint8Array(this.#slotBytes);
  }

  /** Describes the cursor's next bytes in the list memory of `slot`: at most `lengthBytes`, one block or more. */
  describe(slot: number, cursor: PageCursor, lengthBytes: number): Described {
    const offset = slot * this.#slotBytes;
    const list = { bytes: this.#bytes, deviceAddress: this.#memory.deviceAddress + offset };
    if (this.#usesPrps(cursor, lengthBytes)) {
      const { listBytes, ...pointer } = buildPrps(cursor, lengthBytes, list);
      this.#memory.write(offset, this.#bytes.subarray(0, listBytes));
      return { pointer, lengthBytes };
    }
    const descriptorsMax = this.#slotBytes / SGL_DESCRIPTOR_BYTES;
    const told = describableBytes(cursor, lengthBytes, descriptorsMax);
    const wholeBlocks = told - (told % this.#blockBytes);
    const { listBytes, ...pointer } = buildSgl(cursor, wholeBlocks, list);
    this.#memory.write(offset, this.#bytes.subarray(0, listBytes));
    return { pointer, lengthBytes: wholeBlocks };
  }

  close(): void {
    this.#dma.freeCoherent(this.#memory);
  }

  #usesPrps(cursor: PageCursor, lengthBytes: number): boolean {
    return this.#pointers === "auto"
      ? pageShapedBytes(cursor, lengthBytes) === lengthBytes
      : this.#pointers === "prp";
  }
}
