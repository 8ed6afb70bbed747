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
import { LockOwner } from "../sync/lock-owner.ts";
import type { Reservation } from "../sync/reservation.ts";
import { stubFence } from "../sync/software-fence.ts";
import { PendingWait, type WaitOptions } from "../sync/wait.ts";
import type { Origin } from "./origin.ts";

/** An attachment, as far as it has to follow. */
export interface MovedAttachment extends AttachmentView {
  readonly origin: Origin;
  /** The move or revocation goes on its record. */
  hear(stage: "move" | "revoke", why: Reason): void;
  /** Makes its mappings stale, tells the importer and returns what was mapped. */
  invalidate(): readonly { retire(): void }[];
}

/** The part of a buffer that its motion needs. */
export interface MotionOwner {
  readonly reservation: Reservation;
  readonly attachments: readonly MovedAttachment[];
  /** For messages. */
  readonly label: string;
}

export class Motion implements BufferControl {
  readonly #buffer: MotionOwner;
  readonly #locker: LockOwner;
  #moving = false;
  #revoked: Reason | undefined;
  #revoking = 0;
  /** Those who wait until nothing is mapped any more. */
  readonly #waitingForUnmap = new Set<PendingWait<void>>();

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
    return this.attachments.some((attachment) => attachment.isPinned);
  }

  /** Refuses what must wait until the memory is somewhere again. */
  requireSettled(what: string): void {
    if (this.#revoked !== undefined) {
      const { text, code } = this.#revoked;
      throw new PeerbufError(
        "DEVICE_GONE",
        `${this.#buffer.label} is revoked and cannot be ${what}: ${text} [${code}]`,
      );
    }
    if (this.#moving) {
      throw new PeerbufError(
        "WRONG_ORDER",
        `${this.#buffer.label} is moving: it can be ${what} when invalidateMappings has returned`,
      );
    }
  }

  move(why: Reason, start: (after: Fence) => Fence): Fence {
    this.requireSettled("moved");
    this.#requireUnpinned(why);
    return this.locked("moved", () => {
      const after = this.#invalidate(
        "move",
        why,
        (attachment) => attachment.lifetime === "movable",
      );
      const copy = start(after);
      this.#add(copy, "kernel");
      return copy;
    });
  }

  async revoke(why: Reason, options: WaitOptions = {}): Promise<void> {
    this.#revoking++;
    try {
      const after = this.#revokeNow(why);
      await after.signaled({ ...options, waiter: `revoke of ${this.#buffer.label}` });
      await this.#unmapped(options);
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
  addFence(fence: Fence, usage: Parameters<Reservation["addFence"]>[1]): void {
    if (this.#moving) {
      this.#add(fence, usage);
    } else {
      this.locked("given a fence", () => this.#add(fence, usage));
    }
  }

  /** A mapping is gone; perhaps it was the last. */
  unmapped(): void {
    if (this.#waitingForUnmap.size === 0 || this.#holders().length > 0) {
      return;
    }
    for (const wait of this.#waitingForUnmap) {
      wait.resolve();
    }
    this.#waitingForUnmap.clear();
  }

  /** Runs a synchronous step under the reservation's lock. `BUFFER_BUSY` names who holds it instead. */
  locked<T>(what: string, step: () => T): T {
    if (!this.reservation.tryLock(this.#locker)) {
      const holder = this.reservation.holder?.label ?? "somebody";
      throw new PeerbufError(
        "BUFFER_BUSY",
        `${this.#buffer.label} cannot be ${what}: ${holder} holds its reservation`,
      );
    }
    try {
      return step();
    } finally {
      this.reservation.unlock(this.#locker);
    }
  }

  #revokeNow(why: Reason): Fence {
    this.requireSettled("revoked");
    return this.locked("revoked", () => {
      this.#revoked = why;
      return this.#invalidate("revoke", why, (attachment) => attachment.lifetime !== "pinned");
    });
  }

  /** Tells everyone, then says when the last work on the old place is over. */
  #invalidate(
    stage: "move" | "revoke",
    why: Reason,
    follows: (attachment: MovedAttachment) => boolean,
  ): Fence {
    this.#moving = true;
    const stale: { retire(): void }[] = [];
    try {
      for (const attachment of [...this.attachments].reverse()) {
        attachment.hear(stage, why);
        if (follows(attachment)) {
          stale.push(...attachment.invalidate());
        }
      }
    } finally {
      this.#moving = false;
    }
    const after = this.reservation.getSingleton("bookkeep") ?? stubFence(this.reservation.domain);
    this.#retireAfter(after, stale);
    return after;
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

  #add(fence: Fence, usage: Parameters<Reservation["addFence"]>[1]): void {
    this.reservation.reserveFences(1);
    this.reservation.addFence(fence, usage);
  }

  #requireUnpinned(why: Reason): void {
    const holders = this.attachments.filter(({ isPinned }) => isPinned);
    if (holders.length > 0) {
      const names = holders.map(({ origin }) => `${origin}`).join(", ");
      throw new PeerbufError(
        "BUFFER_PINNED",
        `${this.#buffer.label} cannot be moved (${why.text}): pinned by ${names}`,
      );
    }
  }

  #forget(wait: PendingWait<void> | undefined): void {
    if (wait !== undefined) {
      this.#waitingForUnmap.delete(wait);
    }
  }

  #holders(): string[] {
    return this.attachments
      .filter(({ mappingCount }) => mappingCount > 0)
      .map(({ origin }) => `${origin}`);
  }

  #unmapped(options: WaitOptions): Promise<void> {
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
      this.#waitingForUnmap.add(wait);
    }
    return wait.promise;
  }
}
