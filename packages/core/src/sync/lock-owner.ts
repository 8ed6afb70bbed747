/**
 * Lock owner: who holds reservation locks, under which name and with what seniority.
 *
 * An owner is one sequential task: make one for each, and use it for everything that the task locks.
 * That is how the locks know that a waiter already holds something, which is what they need to rule
 * out deadlocks. Without an acquire context an owner may hold one lock; with a context many, and the
 * stamp (smaller is older) decides who gives way. Only `wait-die-lock.ts` changes the bookkeeping.
 */
import { PeerbufError } from "../error.ts";
import type { FenceDomain } from "./fence-context.ts";

/** What owners and contexts remember a lock by. */
export interface HeldLock {
  readonly label: string;
}

export class LockOwner {
  readonly label: string;
  /** Everything this owner holds, in the order it was taken. */
  readonly held: HeldLock[] = [];
  /** The lock it waits for; a sequential task waits for one at most. */
  readonly waitingFor: HeldLock | undefined = undefined;

  constructor(label: string) {
    this.label = label;
  }
}

/** Linux's ww_acquire_ctx for one go at taking several locks (include/linux/ww_mutex.h). */
export class AcquireContext {
  readonly domain: FenceDomain;
  readonly owner: LockOwner;
  /** Taken once, at creation: a task that has to retry keeps it, ages and wins in the end. */
  readonly stamp: number;
  /** Locks taken with this context and not given back. */
  readonly heldCount: number = 0;
  /** The lock that told us to back off: to be taken next, with `lockSlow`, holding nothing. */
  readonly contended: HeldLock | undefined = undefined;
  private state: "acquiring" | "done" | "finished" = "acquiring";

  constructor(domain: FenceDomain, owner: LockOwner) {
    this.domain = domain;
    this.owner = owner;
    this.stamp = domain.takeStamp();
  }

  get label(): string {
    return this.owner.label;
  }

  /** False once `done` or `finish` was called. */
  get isAcquiring(): boolean {
    return this.state === "acquiring";
  }

  /** Optional: no more locks will be taken. */
  done(): void {
    this.state = this.state === "finished" ? "finished" : "done";
  }

  /** After all unlocks: `WRONG_ORDER` while something is held. A second call does nothing. */
  finish(): void {
    if (this.heldCount > 0) {
      const message = `acquire context of "${this.label}" still holds ${this.heldCount} lock(s)`;
      throw new PeerbufError("WRONG_ORDER", message);
    }
    this.state = "finished";
  }

  [Symbol.dispose](): void {
    this.finish();
  }
}

/** Whoever can hold a lock. */
export type LockHolder = LockOwner | AcquireContext;

export function ownerOf(holder: LockHolder): LockOwner {
  return holder instanceof AcquireContext ? holder.owner : holder;
}
