/**
 * Motion: a buffer's memory on the move, or taken away.
 *
 * Keeps the order that makes both safe (Linux: dma_buf_invalidate_mappings and its callers, 6.12 to
 * 7.1): lock the reservation; mark mappings stale and tell importers, newest attachment first; let
 * running work end; only then let go of the old addresses and start the copy.
 */
import type { AttachmentView, BufferControl } from "../buffer-control.ts";
import type { Reason } from "../decision.ts";
import { PeerbufError } from "../error.ts";
import type { Fence } from "../sync/fence.ts";
import { unwrapFence } from "../sync/fence-merge.ts";
import { LockOwner } from "../sync/lock-owner.ts";
import type { Reservation } from "../sync/reservation.ts";
import type { ReservationUsage } from "../sync/reservation-usage.ts";
import { stubFence } from "../sync/software-fence.ts";
import { PendingWait, type WaitOptions } from "../sync/wait.ts";
import type { Origin } from "./origin.ts";

/** An attachment, as far as it has to follow. */
export interface MovedAttachment extends AttachmentView {
  readonly origin: Origin;
  /** The move or revocation goes on its record. */
  hear(stage: "move" | "revoke", why: Reason): void;
  /** Makes its mappings stale and returns them. */
  invalidate(): readonly { retire(): void }[];
  /** Tells the importer. What it throws comes back: the others must be told as well. */
  tell(): PeerbufError | undefined;
}

/** The part of a buffer that its motion needs. */
export interface MotionOwner {
  readonly reservation: Reservation;
  readonly attachments: readonly MovedAttachment[];
  /** For messages. */
  readonly label: string;
}

/** What is known once everyone was told. */
interface Invalidated {
  /** Signals when the last work on the old place is over. */
  readonly after: Fence;
  /** Of the first importer that threw. */
  readonly failure: PeerbufError | undefined;
}

export class Motion implements BufferControl {
  readonly #buffer: MotionOwner;
  readonly #locker: LockOwner;
  #moving = false;
  #revoked: Reason | undefined;
  #revoking = 0;
  #motions = 0;
  /** Those who wait until nothing is mapped any more; made with the first. */
  #waitingForUnmap: Set<PendingWait<void>> | undefined;

  constructor(buffer: MotionOwner) {
    this.#buffer = buffer;
    this.#locker = new LockOwner(`the exporter of ${buffer.label}`);
  }

  get reservation(): Reservation {
    return this.#buffer.reservation;
  }

  get attachments(): readonly MovedAttachment[] {
    return this.#buffer.attachments;
  }

  get isPinned(): boolean {
    const { attachments } = this;
    for (let index = 0; index < attachments.length; index++) {
      if (attachments[index]?.isPinned === true) {
        return true;
      }
    }
    return false;
  }

  /** Importers are being told, or the exporter starts the copy. */
  get isMoving(): boolean {
    return this.#moving;
  }

  get isRevoked(): boolean {
    return this.#revoked !== undefined;
  }

  /** How often the buffer was moved or revoked: a place found before the last time is none any more. */
  get motions(): number {
    return this.#motions;
  }

  /** Refuses what needs memory that was taken away. */
  requireHeld(what: string): void {
    if (this.#revoked !== undefined) {
      const { text, code } = this.#revoked;
      throw new PeerbufError(
        "DEVICE_GONE",
        `${this.#buffer.label} is revoked and cannot be ${what}: ${text} [${code}]`,
      );
    }
  }

  /** Refuses what must wait until the memory is somewhere again. */
  requireSettled(what: string): void {
    this.requireHeld(what);
    if (this.#moving) {
      throw new PeerbufError(
        "WRONG_ORDER",
        `${this.#buffer.label} is moving: it can be ${what} when the move has begun`,
      );
    }
  }

  move(why: Reason, start: (after: Fence) => Fence): Fence {
    this.requireSettled("moved");
    this.#requireUnpinned(why);
    return this.#inMotion("moved", () => {
      const { after, failure } = this.#invalidate(
        "move",
        why,
        (attachment) => attachment.lifetime === "movable",
      );
      if (failure !== undefined) {
        throw failure; // The bytes stay where they are.
      }
      const copy = start(after);
      this.#add(copy, "kernel");
      return copy;
    });
  }

  async revoke(why: Reason, options: WaitOptions = {}): Promise<void> {
    const { clock } = this.reservation.domain;
    const beginNs = clock.nowNs;
    this.#revoking++;
    try {
      const { after, failure } = this.#revokeNow(why);
      await after.signaled({ ...options, waiter: `revoke of ${this.#buffer.label}` });
      await this.#unmapped(shortened(options, clock.nowNs - beginNs));
      if (failure !== undefined) {
        throw failure;
      }
    } finally {
      this.#revoking--;
    }
  }

  restore(): void {
    if (this.#revoking > 0) {
      throw new PeerbufError(
        "WRONG_ORDER",
        `${this.#buffer.label} cannot be restored: its revocation still runs`,
      );
    }
    this.#revoked = undefined;
  }

  /** Puts a fence on the reservation, under the lock of a motion that runs or a short one of its own. */
  addFence(fence: Fence, usage: ReservationUsage): void {
    this.locked("given a fence", () => this.#add(fence, usage));
  }

  /** Starts work on the bytes and keeps its fence. `BUFFER_BUSY`, and nothing started, as for `locked`. */
  startWork(work: () => Fence, usage: ReservationUsage): Fence {
    return this.locked("worked on", () => {
      const fence = work();
      this.#add(fence, usage);
      return fence;
    });
  }

  /** A mapping is gone; perhaps it was the last. */
  unmapped(): void {
    const waiting = this.#waitingForUnmap;
    const isAwaited = waiting !== undefined && waiting.size > 0;
    this.reservation.domain.observer?.counted(this.#buffer.label, isAwaited);
    if (!isAwaited || this.#holders().length > 0) {
      return;
    }
    for (const wait of waiting) {
      wait.resolve();
    }
    waiting.clear();
  }

  /** Refuses what needs the reservation while somebody else holds it: `BUFFER_BUSY` with the name. */
  requireLockable(what: string): void {
    const { holder } = this.reservation;
    if (holder !== undefined && holder !== this.#locker) {
      throw new PeerbufError(
        "BUFFER_BUSY",
        `${this.#buffer.label} cannot be ${what}: ${holder.label} holds its reservation`,
      );
    }
  }

  /** Runs a synchronous step under the reservation's lock, which a motion may hold already. */
  locked<T>(what: string, step: () => T): T {
    this.requireLockable(what);
    if (!this.reservation.tryLock(this.#locker)) {
      return step();
    }
    try {
      return step();
    } finally {
      this.reservation.unlock(this.#locker);
    }
  }

  /** A step in which nobody may look for the bytes. */
  #inMotion<T>(what: string, step: () => T): T {
    return this.locked(what, () => {
      this.#moving = true;
      this.#motions++;
      try {
        return step();
      } finally {
        this.#moving = false;
      }
    });
  }

  #revokeNow(why: Reason): Invalidated {
    this.requireSettled("revoked");
    return this.#inMotion("revoked", () => {
      this.#revoked = why;
      return this.#invalidate("revoke", why, (attachment) => attachment.lifetime !== "pinned");
    });
  }

  /** Tells everyone, then says when the last work on the old place is over. */
  #invalidate(
    stage: "move" | "revoke",
    why: Reason,
    follows: (attachment: MovedAttachment) => boolean,
  ): Invalidated {
    const stale: { retire(): void }[] = [];
    let failure: PeerbufError | undefined;
    for (const attachment of [...this.attachments].reverse()) {
      if (!this.attachments.includes(attachment)) {
        continue; // Detached when another was told.
      }
      attachment.hear(stage, why);
      if (follows(attachment)) {
        stale.push(...attachment.invalidate());
        const thrown = attachment.tell();
        failure ??= thrown;
      }
    }
    const after = this.reservation.getSingleton("bookkeep") ?? stubFence(this.reservation.domain);
    this.#retireAfter(after, stale);
    return { after, failure };
  }

  /** The old addresses work until running work is over, and not a moment longer. */
  #retireAfter(after: Fence, stale: readonly { retire(): void }[]): void {
    const retire = (): void => {
      for (const mapping of stale) {
        mapping.retire();
      }
    };
    if (after.addCallback(retire, `old mappings of ${this.#buffer.label}`) === "signaled") {
      retire();
    }
  }

  /** A container by its members: reservations hold no containers. */
  #add(fence: Fence, usage: ReservationUsage): void {
    if (!fence.isContainer) {
      this.#addOne(fence, usage);
      return;
    }
    for (const member of unwrapFence(fence)) {
      this.#addOne(member, usage);
    }
  }

  #addOne(fence: Fence, usage: ReservationUsage): void {
    this.reservation.reserveFences(1);
    this.reservation.addFence(fence, usage);
  }

  #requireUnpinned(why: Reason): void {
    if (!this.isPinned) {
      return;
    }
    const holders = this.attachments.filter(({ isPinned }) => isPinned);
    const names = holders.map(({ origin }) => `${origin}`).join(", ");
    throw new PeerbufError(
      "BUFFER_PINNED",
      `${this.#buffer.label} cannot be moved (${why.text}): pinned by ${names}`,
    );
  }

  #forget(wait: PendingWait<void> | undefined): void {
    if (wait !== undefined) {
      this.#waitingForUnmap?.delete(wait);
    }
  }

  #holders(): string[] {
    return this.attachments
      .filter(({ mappingCount }) => mappingCount > 0)
      .map(({ origin }) => `${origin}`);
  }

  #unmapped(options: WaitOptions): Promise<void> {
    this.reservation.domain.observer?.counted(this.#buffer.label, true);
    const holders = this.#holders();
    if (holders.length === 0) {
      return Promise.resolve();
    }
    const what = `unmapping of ${this.#buffer.label} by ${holders.join(", ")}`;
    const { clock } = this.reservation.domain;
    const giveUp = (): void => this.#forget(wait);
    let wait: PendingWait<void> | undefined;
    wait = new PendingWait<void>(clock, options, what, giveUp);
    if (!wait.isSettled) {
      this.#waitingForUnmap ??= new Set();
      this.#waitingForUnmap.add(wait);
    }
    return wait.promise;
  }
}

/** What is left of a limit after so many ns of it. */
function shortened(options: WaitOptions, passedNs: number): WaitOptions {
  const { timeoutNs } = options;
  return timeoutNs === undefined
    ? options
    : { ...options, timeoutNs: Math.max(0, timeoutNs - passedNs) };
}
