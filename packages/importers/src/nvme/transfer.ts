/**
 * NVMe transfer: blocks and a part of a buffer, as commands of a size the controller takes.
 *
 * Commands run side by side, as many as the queue holds. A failed one stops new ones; those on
 * their way are waited for, since the drive may touch the buffer until they end.
 */
import { type Mapping, PeerbufError } from "@peerbuf/core";
import { OPCODE, transferBlocks } from "./commands.ts";
import type { NvmeIdentity } from "./identity.ts";
import type { ListPool } from "./list-pool.ts";
import { PageCursor } from "./page-cursor.ts";
import type { QueuePair } from "./queue-pair.ts";
import { describeStatus, NO_ANSWER } from "./status.ts";

export interface TransferRequest {
  readonly opcode: typeof OPCODE.READ | typeof OPCODE.WRITE;
  readonly firstBlock: number;
  /** Where in the buffer, in bytes. */
  readonly offset: number;
  readonly lengthBytes: number;
}

export interface TransferParts {
  /** The drive, for errors. */
  readonly label: string;
  readonly identity: NvmeIdentity;
  readonly io: QueuePair;
  readonly lists: ListPool;
}

export class Transfer {
  readonly #parts: TransferParts;
  readonly #request: TransferRequest;
  #sentBytes = 0;
  #commandCount = 0;
  #sglCount = 0;
  #failure: PeerbufError | undefined;

  constructor(parts: TransferParts, request: TransferRequest) {
    this.#parts = parts;
    this.#request = request;
  }

  /** Commands sent so far. */
  get commandCount(): number {
    return this.#commandCount;
  }

  /** Those among them whose data was told by an SGL. */
  get sglCount(): number {
    return this.#sglCount;
  }

  /**
   * Goes on where it stopped. `true`: all is done; `false`: the mapping went stale first. Throws the first
   * failure. Either way no command is on its way any more.
   */
  async run(mapping: Mapping): Promise<boolean> {
    const { offset, lengthBytes } = this.#request;
    const running: Promise<void>[] = [];
    const isOver = (): boolean =>
      this.#sentBytes === lengthBytes || this.#failure !== undefined || mapping.isStale;
    const cursor = new PageCursor(mapping.segments, offset + this.#sentBytes);
    while (!isOver()) {
      const slot = await this.#parts.io.takeSlot();
      if (slot === undefined || !this.#parts.io.isOpen) {
        this.#fail(NO_ANSWER, this.#sentBytes, lengthBytes - this.#sentBytes);
      } else if (isOver()) {
        this.#parts.io.giveSlot(slot);
      } else {
        running.push(this.#sendNext(slot, cursor));
      }
    }
    await Promise.all(running);
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    return this.#sentBytes === lengthBytes;
  }

  async #sendNext(slot: number, cursor: PageCursor): Promise<void> {
    const { io, lists, identity } = this.#parts;
    const { opcode, lengthBytes } = this.#request;
    const at = this.#sentBytes;
    const wanted = Math.min(identity.commandBytesMax, lengthBytes - at);
    const { pointer, lengthBytes: piece } = lists.describe(slot, cursor, wanted);
    const blocks = piece / identity.blockBytes;
    this.#sentBytes += piece;
    this.#commandCount++;
    this.#sglCount += "type" in pointer ? 1 : 0;
    const command = transferBlocks(opcode, pointer, this.#block(at), blocks);
    const { status } = await io.send(slot, command);
    io.giveSlot(slot);
    if (status !== 0) {
      this.#fail(status, at, piece);
    }
  }

  #block(at: number): number {
    return this.#request.firstBlock + at / this.#parts.identity.blockBytes;
  }

  /** The first failure counts. */
  #fail(status: number, at: number, lengthBytes: number): void {
    const { label, identity } = this.#parts;
    const verb = this.#request.opcode === OPCODE.READ ? "read" : "write";
    const first = this.#block(at);
    const last = first + lengthBytes / identity.blockBytes - 1;
    this.#failure ??= new PeerbufError(
      status === NO_ANSWER ? "DEVICE_GONE" : "DEVICE_FAILED",
      `${label}: ${verb} of blocks ${first} to ${last} failed: ${describeStatus(status)}`,
    );
  }
}
