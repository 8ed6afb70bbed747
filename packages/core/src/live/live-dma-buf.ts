/**
 * Live DMA-buf: a buffer's handles, and the release of its memory when nothing can touch it any more.
 */
import { PAGE_BYTES } from "../address.ts";
import type { Attachment } from "../attachment.ts";
import type { BufferControl } from "../buffer-control.ts";
import type { CopyPolicy } from "../copy-policy.ts";
import type { CpuAccess, CpuUse } from "../cpu-access.ts";
import type { Device } from "../device.ts";
import type { DmaBuf } from "../dma-buf.ts";
import { asDriverFault } from "../driver.ts";
import { PeerbufError } from "../error.ts";
import type { Storage } from "../exporter.ts";
import type { Importer } from "../importer.ts";
import { Rounds } from "../negotiation/rounds.ts";
import type { Exported } from "../negotiation/talk.ts";
import type { Fence } from "../sync/fence.ts";
import type { FenceDomain } from "../sync/fence-context.ts";
import { Reservation } from "../sync/reservation.ts";
import type { ReservationUsage } from "../sync/reservation-usage.ts";
import type { WaitOptions } from "../sync/wait.ts";
import { type AttachmentOwner, LiveAttachment } from "./live-attachment.ts";
import { type CpuAccessOwner, LiveCpuAccess } from "./live-cpu-access.ts";
import { Motion } from "./motion.ts";
import { Origin } from "./origin.ts";

/** What the framework knows of a buffer before it exists. */
export type BufferParts = Omit<Exported, "fences" | "rounds" | "storage">;

/** What a buffer needs of the framework that made it. */
export interface BufferOwner {
  readonly fences: FenceDomain;
  readonly traceHandles: boolean;
  released(buffer: LiveDmaBuf): void;
}

export class LiveDmaBuf implements DmaBuf, AttachmentOwner, CpuAccessOwner {
  readonly exported: Exported;
  readonly motion: Motion;
  readonly label: string;
  readonly origin: Origin;
  readonly reservation: Reservation;
  readonly #owner: BufferOwner;
  readonly #attachments: LiveAttachment[] = [];
  /** Made with the first of them: most buffers see none. */
  #cpuAccesses: Set<LiveCpuAccess> | undefined;
  #attachmentsMade = 0;
  /** Attaches under way, further up the stack. */
  #attaching = 0;
  #open = true;

  /** `allocate` is called once, with the control over this buffer. */
  constructor(
    owner: BufferOwner,
    facts: BufferParts,
    allocate: (control: BufferControl) => Storage,
    madeBy: (...args: never[]) => unknown,
  ) {
    this.#owner = owner;
    this.label = `dma-buf "${facts.name}" of ${facts.exporter}`;
    this.origin = new Origin(this.label, madeBy);
    this.reservation = new Reservation(owner.fences, this.label);
    this.motion = new Motion(this);
    const storage = allocate(this.motion);
    this.exported = exportedOf(facts, this.motion, storage);
  }

  /** No handle is out; the memory may still wait for work on it. */
  get isClosed(): boolean {
    return !this.#open;
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

  /** CPU accesses not yet ended. */
  get cpuAccesses(): readonly LiveCpuAccess[] {
    return this.#cpuAccesses === undefined ? [] : [...this.#cpuAccesses];
  }

  get attachments(): readonly LiveAttachment[] {
    return this.#attachments;
  }

  attach(importer: Importer, options?: { readonly copy?: CopyPolicy }): Attachment {
    this.#requireOpen();
    this.motion.requireSettled("attached to");
    const attachment = this.#negotiate(importer, options?.copy ?? "allowed");
    this.#attachments.push(attachment);
    this.#tell("attached", attachment);
    return attachment;
  }

  detached(attachment: LiveAttachment): void {
    this.#attachments.splice(this.#attachments.indexOf(attachment), 1);
    try {
      this.#ask(() => this.exported.storage.detach?.(attachment.client));
    } finally {
      this.#tell("detached", attachment);
    }
  }

  addFence(fence: Fence, usage: ReservationUsage): void {
    this.#requireOpen();
    this.motion.addFence(fence, usage);
  }

  async beginCpuAccess(use: CpuUse, options: WaitOptions = {}): Promise<CpuAccess> {
    this.#requireOpen();
    const { read, write } = this.exported.storage;
    if ((use !== "write" && read === undefined) || (use !== "read" && write === undefined)) {
      throw this.#notForTheCpu();
    }
    const label = `CPU access (${use}) to ${this.label}`;
    const access = new LiveCpuAccess(this, use, new Origin(label, this.beginCpuAccess));
    this.#cpuAccesses ??= new Set();
    this.#cpuAccesses.add(access);
    try {
      await access.begin(options);
      return access;
    } catch (error) {
      this.#cpuAccesses.delete(access);
      throw asDriverFault(error, this.exporter);
    }
  }

  cpuAccessEnded(access: LiveCpuAccess): void {
    this.#cpuAccesses?.delete(access);
  }

  async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    await using access = await this.beginCpuAccess("read");
    return await access.read(offset, lengthBytes);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    await using access = await this.beginCpuAccess("write");
    await access.write(offset, source);
  }

  close(): void {
    this.#requireOpen();
    this.#requireFree();
    this.#open = false;
    this.#releaseWhenOver();
  }

  [Symbol.dispose](): void {
    if (this.#open) {
      this.close();
    }
  }

  #negotiate(importer: Importer, copy: CopyPolicy): LiveAttachment {
    this.#attaching++;
    try {
      return new LiveAttachment(this, importer, copy, ++this.#attachmentsMade);
    } catch (error) {
      throw asDriverFault(error, this.exporter, importer.name);
    } finally {
      this.#attaching--;
    }
  }

  #ask(step: () => void): void {
    try {
      step();
    } catch (error) {
      throw asDriverFault(error, this.exporter);
    }
  }

  #requireFree(): void {
    const accesses = this.#cpuAccesses?.size ?? 0;
    const isBusy = this.#attaching > 0 || this.motion.isMoving;
    if (this.#attachments.length + accesses === 0 && !isBusy) {
      return;
    }
    const held = [...this.#attachments, ...this.cpuAccesses].map(({ origin }) => `${origin}`);
    if (isBusy) {
      held.push("it is being attached to or moved");
    }
    const holders = held.join(", ");
    throw new PeerbufError("BUFFER_BUSY", `${this.origin} cannot be closed: ${holders}`);
  }

  /** The exporter gets its memory back only when nothing can touch it any more. */
  #releaseWhenOver(): void {
    const work = this.reservation.getSingleton("bookkeep");
    const again = (): void => this.#releaseWhenOver(); // A move may have added a copy meanwhile.
    if (work === undefined) {
      this.#release();
    } else if (work.addCallback(again, `release of ${this.label}`) === "signaled") {
      again();
    }
  }

  #release(): void {
    try {
      this.#ask(() => this.exported.storage.release());
    } finally {
      this.reservation.close();
      this.#owner.released(this);
    }
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

  #notForTheCpu(): PeerbufError {
    return new PeerbufError(
      "WRONG_ORDER",
      `${this.exporter} gives the CPU no access to "${this.name}"`,
      { errno: "EINVAL" },
    );
  }
}

/** Part by part: a spread would cost more than all the rest of a buffer. */
function exportedOf(facts: BufferParts, fences: Motion, storage: Storage): Exported {
  const { name, sizeBytes, exporter, device, platform, judge, events } = facts;
  const rounds = new Rounds();
  return {
    name,
    sizeBytes,
    exporter,
    device,
    storage,
    platform,
    judge,
    events,
    rounds,
    fences,
  };
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
