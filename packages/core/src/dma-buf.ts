/**
 * DMA-buf: one buffer that devices share.
 *
 * Owned by an exporter, reached through attachments. Its size never changes; where its bytes lie
 * may. It is released when it is closed and the last work on its bytes is over.
 */

import { PAGE_BYTES } from "./address.ts";
import { type Attachment, type AttachmentOwner, LiveAttachment } from "./attachment.ts";
import type { Device } from "./device.ts";
import { asDriverFault } from "./driver.ts";
import { PeerbufError } from "./error.ts";
import type { Importer } from "./importer.ts";
import { Origin } from "./origin.ts";
import type { Fence } from "./sync/fence.ts";
import type { Exported } from "./talk.ts";

export interface DmaBuf extends Disposable {
  readonly name: string;
  /** Bytes; a whole number of pages. */
  readonly sizeBytes: number;
  /** Driver and device that own the memory. */
  readonly exporter: string;
  /** The exporter's device; left out for a heap. */
  readonly device: Device | undefined;
  /** Live attachments, oldest first. */
  readonly attachments: readonly Attachment[];
  /**
   * Negotiates with an importer (stages 1 to 4). Synchronous. `NO_COMMON_TYPE` carries each party's reason;
   * `BUFFER_CLOSED` after close.
   */
  attach(importer: Importer): Attachment;
  /** The CPU reads `lengthBytes` bytes from `offset`. Waits for work that changes the bytes. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
  /** The CPU writes. Waits for work that uses the bytes. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /** Resolves when no work that a mapping left behind (copies back) runs on the bytes any more. */
  idle(): Promise<void>;
  /** `BUFFER_BUSY` while attachments are live, naming them; a second time is `BUFFER_CLOSED`. */
  close(): void;
}

/** What a buffer needs of the framework that made it. */
export interface BufferOwner {
  readonly traceHandles: boolean;
  released(buffer: LiveDmaBuf): void;
}

export class LiveDmaBuf implements DmaBuf, AttachmentOwner {
  readonly exported: Exported;
  readonly origin: Origin;
  readonly #owner: BufferOwner;
  readonly #attachments: LiveAttachment[] = [];
  readonly #work = new Set<Fence>();
  #attachmentsMade = 0;
  #open = true;

  constructor(owner: BufferOwner, exported: Exported, madeBy: (...args: never[]) => unknown) {
    this.#owner = owner;
    this.exported = exported;
    this.origin = new Origin(`dma-buf "${exported.name}" of ${exported.exporter}`, madeBy);
  }

  get buffer(): DmaBuf {
    return this;
  }

  get traceHandles(): boolean {
    return this.#owner.traceHandles;
  }

  get name(): string {
    return this.exported.name;
  }

  get sizeBytes(): number {
    return this.exported.sizeBytes;
  }

  get exporter(): string {
    return this.exported.exporter;
  }

  get device(): Device | undefined {
    return this.exported.device;
  }

  get attachments(): readonly LiveAttachment[] {
    return this.#attachments;
  }

  attach(importer: Importer): Attachment {
    this.#requireOpen();
    const attachment = this.#negotiate(importer);
    this.#attachments.push(attachment);
    this.#tell("attached", attachment);
    return attachment;
  }

  detached(attachment: LiveAttachment): void {
    this.#attachments.splice(this.#attachments.indexOf(attachment), 1);
    this.exported.storage.detach?.(attachment.client);
    this.#tell("detached", attachment);
  }

  busyUntil(fence: Fence): void {
    this.#work.add(fence);
    const done = (): void => {
      this.#work.delete(fence);
      this.#releaseWhenOver();
    };
    if (fence.addCallback(done, `release of ${this.origin.label}`) === "signaled") {
      done();
    }
  }

  async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    this.#requireOpen();
    this.#requireInside(offset, lengthBytes);
    const { storage } = this.exported;
    if (storage.read === undefined) {
      throw this.#notForTheCpu();
    }
    await this.idle();
    const target = new Uint8Array(lengthBytes);
    await storage.read(offset, target);
    return target;
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.#requireOpen();
    this.#requireInside(offset, source.length);
    const { storage } = this.exported;
    if (storage.write === undefined) {
      throw this.#notForTheCpu();
    }
    await this.idle();
    await storage.write(offset, source);
  }

  async idle(): Promise<void> {
    for (const fence of this.#work) {
      const error = await fence.signaled();
      if (error !== undefined) {
        throw new PeerbufError(
          "DEVICE_FAILED",
          `work on ${this.origin.label} failed: ${error.message}`,
          { cause: error },
        );
      }
    }
  }

  close(): void {
    this.#requireOpen();
    if (this.#attachments.length > 0) {
      const holders = this.#attachments.map(({ origin }) => `${origin}`).join(", ");
      throw new PeerbufError("BUFFER_BUSY", `${this.origin} cannot be closed: ${holders}`);
    }
    this.#open = false;
    this.#releaseWhenOver();
  }

  [Symbol.dispose](): void {
    if (this.#open) {
      this.close();
    }
  }

  #negotiate(importer: Importer): LiveAttachment {
    try {
      return new LiveAttachment(this, importer, ++this.#attachmentsMade);
    } catch (error) {
      throw asDriverFault(error, this.exporter, importer.name);
    }
  }

  /** The exporter gets its memory back only when nothing can touch it any more. */
  #releaseWhenOver(): void {
    if (this.#open || this.#work.size > 0) {
      return;
    }
    this.exported.storage.release();
    this.#owner.released(this);
  }

  #tell(kind: "attached" | "detached", { client }: LiveAttachment): void {
    const { events, name } = this.exported;
    if (events.watched) {
      events.send({ kind, buffer: name, importer: client.id });
    }
  }

  #requireOpen(): void {
    if (!this.#open) {
      throw new PeerbufError("BUFFER_CLOSED", `${this.origin} is closed`);
    }
  }

  #requireInside(offset: number, lengthBytes: number): void {
    const end = offset + lengthBytes;
    if (
      !(
        Number.isSafeInteger(offset) &&
        Number.isSafeInteger(end) &&
        offset >= 0 &&
        lengthBytes >= 0 &&
        end <= this.sizeBytes
      )
    ) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `bytes ${offset} to ${end} are not inside ${this.origin.label}, which has ${this.sizeBytes}`,
      );
    }
  }

  #notForTheCpu(): PeerbufError {
    return new PeerbufError(
      "WRONG_ORDER",
      `${this.exporter} gives the CPU no access to "${this.name}"`,
      { errno: "EINVAL" },
    );
  }
}

/** Buffers are whole pages, as mappings are (Linux: dma_buf sizes and sg entries are PAGE_SIZE aligned). */
export function requireSize(sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % PAGE_BYTES !== 0) {
    throw new PeerbufError(
      "SIZE_INVALID",
      `a buffer of ${sizeBytes} bytes cannot be: sizes are whole pages of ${PAGE_BYTES} bytes, at least one`,
    );
  }
}
