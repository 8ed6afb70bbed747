/**
 * Wait-die lock: the lock of a reservation.
 *
 * Linux's ww_mutex in its wait-die form (kernel/locking/ww_mutex.h, 6.12): who holds nothing waits;
 * who holds something waits for younger holders only, and backs off from older ones. Unlocking hands
 * the lock to the first waiter at once, so nobody overtakes. No deadlock can form: an owner that
 * holds a lock without a context never waits, and waiting contexts that hold something point from
 * older to younger. Waiters are at most one per owner.
 */
import { PeerbufError } from "../error.ts";
import type { FenceDomain } from "./fence-context.ts";
import { LockError } from "./lock-error.ts";
import {
  AcquireContext,
  type HeldLock,
  type LockHolder,
  type LockOwner,
  ownerOf,
} from "./lock-owner.ts";
import { PendingWait, timeoutRefusal, type WaitOptions } from "./wait.ts";

/** What outside is read-only in owners and contexts, and is kept here. */
type OwnerBooks = { held: HeldLock[]; waitingFor: HeldLock | undefined };
type ContextBooks = { heldCount: number; contended: HeldLock | undefined };

interface LockWaiter {
  readonly holder: LockHolder;
  wait: PendingWait<void> | undefined;
}

const NO_OPTIONS: WaitOptions = {};

export class WaitDieLock implements HeldLock {
  readonly label: string;
  private readonly domain: FenceDomain;
  private current: LockHolder | undefined = undefined;
  private unlocks = 0;
  /** First come, first served, except that contexts go by stamp. */
  private readonly queue: LockWaiter[] = [];

  constructor(domain: FenceDomain, label: string) {
    this.domain = domain;
    this.label = label;
  }

  get holder(): LockHolder | undefined {
    return this.current;
  }

  /** How often it was given back: what was agreed on under it holds until this changes. */
  get tenure(): number {
    return this.unlocks;
  }

  /** Who waits, in the order in which they will get the lock. */
  get waiters(): readonly string[] {
    return this.queue.map((waiter) => waiter.holder.label);
  }

  /** Takes the lock when it is free, else changes nothing. Never waits, so it needs no rules. */
  tryLock(holder: LockHolder): boolean {
    this.checkUsable(holder);
    if (this.current !== undefined) {
      this.domain.observer?.lockMissed(this.label, false);
      return false;
    }
    this.take(holder);
    return true;
  }

  async lock(holder: LockHolder, options: WaitOptions = NO_OPTIONS): Promise<void> {
    this.checkMayWait(holder, options);
    this.checkBackedOff(holder);
    if (this.current === undefined) {
      return this.take(holder);
    }
    this.domain.observer?.lockMissed(this.label, true);
    if (holder instanceof AcquireContext) {
      this.checkNotHeld(holder);
      if (this.mustDie(holder)) {
        throw this.backOff(holder);
      }
    }
    return this.enqueue(holder, options);
  }

  /** For the lock that told the context to back off: holding nothing, it waits and never dies. */
  async lockSlow(context: AcquireContext, options: WaitOptions = NO_OPTIONS): Promise<void> {
    if (context.contended !== this || context.heldCount > 0) {
      const message =
        "lockSlow is for the lock that backed it off, after unlocking everything else";
      throw this.conflict("WRONG_ORDER", context, message);
    }
    return this.lock(context, options);
  }

  unlock(holder: LockHolder): void {
    if (this.current !== holder) {
      const now = this.current === undefined ? "nobody" : `"${this.current.label}"`;
      const message = `"${holder.label}" cannot unlock "${this.label}": held by ${now}`;
      throw new PeerbufError("LOCK_NOT_HELD", message);
    }
    this.release(holder);
    const next = this.queue.shift();
    if (next !== undefined) {
      stopWaiting(next);
      this.take(next.holder);
      next.wait?.resolve();
    }
  }

  private take(holder: LockHolder): void {
    this.domain.observer?.lockTaken(this.label);
    this.current = holder;
    booksOf(ownerOf(holder)).held.push(this);
    if (holder instanceof AcquireContext) {
      const books: ContextBooks = holder;
      books.heldCount++;
      books.contended = undefined;
    }
  }

  private release(holder: LockHolder): void {
    this.domain.observer?.lockReleased(this.label);
    this.current = undefined;
    this.unlocks++;
    const { held } = booksOf(ownerOf(holder));
    held.splice(held.lastIndexOf(this), 1);
    if (holder instanceof AcquireContext) {
      const books: ContextBooks = holder;
      books.heldCount--;
    }
  }

  /** Holding something, it would wait for somebody older: the holder, or a waiter before it. */
  private mustDie(context: AcquireContext): boolean {
    const isOlder = (holder: LockHolder | undefined): boolean =>
      holder instanceof AcquireContext && holder.stamp < context.stamp;
    return (
      context.heldCount > 0 &&
      (isOlder(this.current) || this.queue.some((waiter) => isOlder(waiter.holder)))
    );
  }

  private backOff(context: AcquireContext): LockError {
    const books: ContextBooks = context;
    books.contended = this;
    const remedy = "an older acquire context goes first; unlock everything, then lockSlow this one";
    return this.conflict("LOCK_BACK_OFF", context, remedy);
  }

  private enqueue(holder: LockHolder, options: WaitOptions): Promise<void> {
    const waiter: LockWaiter = { holder, wait: undefined };
    this.queue.splice(this.placeFor(holder), 0, waiter);
    booksOf(ownerOf(holder)).waitingFor = this;
    const what = `"${holder.label}" waits for lock "${this.label}"`;
    waiter.wait = new PendingWait<void>(this.domain.clock, options, what, () => this.leave(waiter));
    return waiter.wait.promise;
  }

  /** A context goes before all younger ones; those of them that hold something back off. */
  private placeFor(holder: LockHolder): number {
    let place = this.queue.length;
    if (!(holder instanceof AcquireContext)) {
      return place;
    }
    for (let index = place - 1; index >= 0; index--) {
      const waiter = this.queue[index];
      if (waiter?.holder instanceof AcquireContext) {
        if (waiter.holder.stamp < holder.stamp) {
          break;
        }
        place = index;
        if (waiter.holder.heldCount > 0) {
          this.leave(waiter);
          waiter.wait?.reject(this.backOff(waiter.holder));
        }
      }
    }
    return place;
  }

  private leave(waiter: LockWaiter): void {
    this.queue.splice(this.queue.indexOf(waiter), 1);
    stopWaiting(waiter);
  }

  private checkUsable(holder: LockHolder): void {
    if (holder instanceof AcquireContext && !holder.isAcquiring) {
      const message = "its acquire context takes no more locks";
      throw this.conflict("WRONG_ORDER", holder, message);
    }
    if (holder instanceof AcquireContext && holder.domain !== this.domain) {
      const message = "its acquire context is of another fence domain, so their ages say nothing";
      throw this.conflict("ARGUMENT_INVALID", holder, message);
    }
    if (ownerOf(holder).waitingFor !== undefined) {
      const message = `it waits for "${ownerOf(holder).waitingFor?.label}": one lock at a time`;
      throw this.conflict("WRONG_ORDER", holder, message);
    }
  }

  private checkMayWait(holder: LockHolder, options: WaitOptions): void {
    this.checkUsable(holder);
    const refused =
      timeoutRefusal(options) ?? this.domain.signalling.refusal(`lock of "${this.label}"`);
    if (refused !== undefined) {
      throw refused;
    }
    const withContext = holder instanceof AcquireContext ? holder.heldCount : 0;
    if (ownerOf(holder).held.length > withContext) {
      const remedy = "whoever holds a lock must take the next with the same acquire context";
      throw this.conflict("LOCK_DEADLOCK", holder, remedy);
    }
  }

  private checkBackedOff(holder: LockHolder): void {
    if (holder instanceof AcquireContext && holder.contended && holder.heldCount > 0) {
      const { label } = holder.contended;
      const remedy = `it was told to back off: unlock everything, then lockSlow "${label}"`;
      throw this.conflict("WRONG_ORDER", holder, remedy);
    }
  }

  private checkNotHeld(context: AcquireContext): void {
    if (this.current === context) {
      const remedy = "listed twice; go on with the next";
      throw this.conflict("LOCK_HELD_ALREADY", context, remedy);
    }
  }

  private conflict(code: LockError["code"], holder: LockHolder, remedy: string): LockError {
    const holding = ownerOf(holder).held.map((lock) => lock.label);
    const heldBy = this.current?.label;
    return new LockError(
      code,
      { wantedBy: holder.label, holding, lock: this.label, heldBy },
      remedy,
    );
  }
}

function stopWaiting(waiter: LockWaiter): void {
  booksOf(ownerOf(waiter.holder)).waitingFor = undefined;
}

function booksOf(owner: LockOwner): OwnerBooks {
  return owner as OwnerBooks;
}
