/**
 * Imported buffer: one buffer of somebody else's, for as long as a GPU uses it.
 *
 * Attached once. Mapped at the first use and kept so; when the buffer moves, the mapping is given back
 * as soon as the engine no longer works on it, and the next use maps again at the new place. Every job's
 * fence is in the buffer before the job starts, so whoever moves or revokes it waits for the right work.
 */
import {
  type Attachment,
  type Device,
  DMA,
  type DmaBuf,
  type Fence,
  type Mapping,
  type MappingOffer,
  P2P,
  PeerbufError,
} from "@peerbuf/core";
import { type BulkRange, checkedRange, piecesOf } from "../bulk/range.ts";
import { type Negotiated, negotiatedOf } from "../negotiated.ts";
import type { CopyCommand, CopyEngine } from "./copy-engine.ts";

/** How often one copy starts over because the buffer moved before it began. */
const MOVES_FOLLOWED_MAX = 16;

const TYPES: readonly MappingOffer[] = [{ type: P2P }, { type: DMA }];

export interface ImportedBuffer extends Disposable {
  /** How often it was mapped: once, and once more for each move that it followed. */
  readonly mapsMade: number;
  /** Buffer to VRAM. `deviceOffset` of the range is an offset into VRAM. Waits for those who write the buffer. */
  fetch(range?: BulkRange): Promise<Negotiated>;
  /** VRAM to buffer. Waits for everybody who uses the buffer. */
  store(range?: BulkRange): Promise<Negotiated>;
  /** `WRONG_ORDER` while a copy runs. A second time does nothing. */
  close(): void;
}

/** A copy on its way. */
interface Begun {
  readonly negotiated: Negotiated;
  readonly work: Fence;
}

export class LiveImportedBuffer implements ImportedBuffer {
  readonly #gone: () => void;
  readonly #engine: CopyEngine;
  readonly #attachment: Attachment;
  #mapping: Mapping | undefined;
  #lastWork: Fence | undefined;
  #running = 0;
  #mapsMade = 0;
  #isOpen = true;

  /** Attaches. `gone` is called once when it is over. */
  constructor(engine: CopyEngine, device: Device, buffer: DmaBuf, gone: () => void) {
    this.#engine = engine;
    this.#gone = gone;
    this.#attachment = buffer.attach({
      name: "gpu-peer",
      device,
      offer: () => ({ answer: "offer", types: TYPES }),
      invalidateMappings: () => this.#letGo(),
    });
  }

  get mapsMade(): number {
    return this.#mapsMade;
  }

  fetch(range: BulkRange = {}): Promise<Negotiated> {
    return this.#copy(range, true);
  }

  store(range: BulkRange = {}): Promise<Negotiated> {
    return this.#copy(range, false);
  }

  close(): void {
    if (this.#running > 0) {
      const what = `"${this.#attachment.buffer.name}" cannot be let go of`;
      throw new PeerbufError("WRONG_ORDER", `${what}: ${this.#running} copies are not over`);
    }
    this.abandon();
  }

  /** The engine is stopped: whatever still waits for it fails. */
  abandon(): void {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#letGo();
      this.#attachment.detach();
      this.#gone();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #copy(range: BulkRange, toVram: boolean): Promise<Negotiated> {
    const checked = checkedRange(this.#attachment.buffer, range, this.#engine.vramBytes);
    this.#running++;
    try {
      const { negotiated, work } = await this.#begin(checked, toVram);
      const error = await work.signaled();
      if (error !== undefined) {
        throw new PeerbufError("DEVICE_FAILED", error.message, { cause: error });
      }
      return negotiated;
    } finally {
      this.#running--;
    }
  }

  /** Starts the copy when the bytes are there and their other users are done, wherever they are then. */
  async #begin(range: Required<BulkRange>, toVram: boolean): Promise<Begun> {
    const { buffer } = this.#attachment;
    for (let tries = 0; tries <= MOVES_FOLLOWED_MAX; tries++) {
      const mapping = this.#mapped();
      const error = await mapping.ready?.signaled();
      await buffer.reservation.idleBefore(toVram ? "read" : "write");
      this.#requireOpen();
      if (mapping !== this.#mapping) {
        continue; // It moved meanwhile.
      }
      if (error !== undefined) {
        const what = `the bytes of "${buffer.name}" did not arrive: ${error.message}`;
        throw new PeerbufError("DEVICE_FAILED", what, { cause: error });
      }
      // No `await` since the look at the mapping: it cannot have gone stale.
      const negotiated = negotiatedOf(this.#attachment, mapping);
      return { negotiated, work: this.#submit(mapping, range, toVram) };
    }
    throw new PeerbufError(
      "BUFFER_BUSY",
      `"${buffer.name}" moved ${MOVES_FOLLOWED_MAX} times before the copy could begin`,
    );
  }

  #requireOpen(): void {
    if (!this.#isOpen) {
      const message = `"${this.#attachment.buffer.name}" is not imported any more`;
      throw new PeerbufError("DEVICE_GONE", message);
    }
  }

  #mapped(): Mapping {
    this.#requireOpen();
    if (this.#mapping === undefined) {
      this.#mapping = this.#attachment.map("bidirectional");
      this.#mapsMade++;
    }
    return this.#mapping;
  }

  #submit({ segments }: Mapping, range: Required<BulkRange>, toVram: boolean): Fence {
    const { buffer } = this.#attachment;
    const pieces = piecesOf(segments, range.offset, range.lengthBytes);
    const commands: CopyCommand[] = [];
    let vramOffset = range.deviceOffset;
    for (let at = 0; at < pieces.length; at += 2) {
      const [address, lengthBytes] = [pieces[at] as number, pieces[at + 1] as number];
      commands.push({ toVram, vramOffset, address, lengthBytes });
      vramOffset += lengthBytes;
    }
    const usage = toVram ? "read" : "write";
    this.#lastWork = this.#engine.submit(commands, (fence) => buffer.addFence(fence, usage));
    return this.#lastWork;
  }

  /** Jobs run in order, so the last one's end is the end of all. */
  #letGo(): void {
    const mapping = this.#mapping;
    this.#mapping = undefined;
    const unmap = (): void => void mapping?.unmap();
    if (this.#lastWork === undefined || this.#lastWork.addCallback(unmap) === "signaled") {
      unmap();
    }
  }
}
