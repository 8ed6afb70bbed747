/**
 * Reservation: who is using a buffer, and who has to wait.
 *
 * A lock and a list of (fence, usage), as Linux's dma_resv (drivers/dma-buf/dma-resv.c, 6.12). One
 * per buffer; several buffers may share one. Changing it needs the lock, looking does not. A slot
 * is reserved before the work is started, so that adding its fence afterwards cannot fail.
 */
import { PeerbufError } from "../error.ts";
import type { Fence } from "./fence.ts";
import { FenceArray } from "./fence-array.ts";
import type { FenceContext, FenceDomain } from "./fence-context.ts";
import { FenceSlots } from "./fence-slots.ts";
import { waitForAll } from "./fence-wait.ts";
import type { AcquireContext, LockHolder } from "./lock-owner.ts";
import { ReservationCursor } from "./reservation-cursor.ts";
import {
  type ReservationAccess,
  type ReservationUsage,
  USAGE_LEVEL,
  USAGES,
  usageBefore,
} from "./reservation-usage.ts";
import type { WaitOptions } from "./wait.ts";
import { WaitDieLock } from "./wait-die-lock.ts";

/** The most slots one reservation can have. */
const SLOTS_MAX = 1 << 20;
const NO_SLOTS = new FenceSlots(0);

export class Reservation {
  readonly domain: FenceDomain;
  readonly label: string;
  private readonly ownLock: WaitDieLock;
  private slots: FenceSlots = NO_SLOTS;
  /** Slots below this one may be used in this tenure of the lock; in a later one, those that are filled. */
  private reservedCount = 0;
  private reservedIn = 0;

  constructor(domain: FenceDomain, label: string) {
    this.domain = domain;
    this.label = label;
    this.ownLock = new WaitDieLock(domain, label);
  }

  // The lock.

  get holder(): LockHolder | undefined {
    return this.ownLock.holder;
  }

  get isLocked(): boolean {
    return this.ownLock.holder !== undefined;
  }

  /** Who waits for the lock, in the order in which they will get it. */
  get lockWaiters(): readonly string[] {
    return this.ownLock.waiters;
  }

  /**
   * Takes the lock, waiting when it must. Rejects with `LOCK_BACK_OFF` (EDEADLK: unlock everything
   * of this context, then `lockSlow` here), `LOCK_HELD_ALREADY` (EALREADY: listed twice),
   * `LOCK_DEADLOCK` (a second lock without a context), `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED` or
   * `WAIT_IN_SIGNALLING`.
   */
  lock(holder: LockHolder, options?: WaitOptions): Promise<void> {
    return this.ownLock.lock(holder, options);
  }

  /** After `LOCK_BACK_OFF` of this very reservation, holding nothing: waits, never backs off. */
  lockSlow(context: AcquireContext, options?: WaitOptions): Promise<void> {
    return this.ownLock.lockSlow(context, options);
  }

  /** True: taken. False: somebody holds it (perhaps the caller). */
  tryLock(holder: LockHolder): boolean {
    return this.ownLock.tryLock(holder);
  }

  /** Ends the lock and what was reserved under it. `LOCK_NOT_HELD` when another holds it. */
  unlock(holder: LockHolder): void {
    this.ownLock.unlock(holder);
  }

  // Changing: all of it needs the lock (`LOCK_NOT_HELD`).

  /** Makes sure of room for `count` more fences until unlock. `MEMORY_EXHAUSTED` above 2^20 slots. */
  reserveFences(count: number): void {
    this.requireLock("reserve fences");
    if (!Number.isSafeInteger(count) || count < 1) {
      const message = `"${this.label}": cannot reserve ${count} fence slots`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    if (this.slots.count + count > this.slots.capacity) {
      this.domain.observer?.adding(this);
      this.grow(this.slots.count + count);
      this.domain.observer?.added(this, "bookkeep", undefined);
    }
    this.reserve(Math.max(this.usableCount(), this.slots.count + count));
  }

  /**
   * Adds a fence into a reserved slot, or in place of one that it makes superfluous: a finished one,
   * or an earlier one of its timeline that is not of stronger usage. Adding again with a stronger
   * usage promotes; nothing demotes. `SLOT_NOT_RESERVED`, `FENCE_IS_CONTAINER` (unwrap it first).
   */
  addFence(fence: Fence, usage: ReservationUsage): void {
    this.requireLock("add a fence");
    this.refuseContainer(fence);
    const level = USAGE_LEVEL[usage];
    this.domain.observer?.adding(this);
    const slot = this.slots.slotFor(fence, level);
    this.domain.observer?.added(this, usage, fence);
    if (slot >= this.usableCount()) {
      const message = `"${this.label}": no slot was reserved since the lock was taken`;
      throw new PeerbufError("SLOT_NOT_RESERVED", message);
    }
    this.slots.put(slot, fence, level);
    this.domain.publish(fence);
  }

  /**
   * Puts the fence in place of every fence of a timeline. Only right when the old work can no
   * longer touch the memory once the fence is done (a preemption fence replaced by an unmap fence).
   */
  replaceFences(context: FenceContext, fence: Fence, usage: ReservationUsage): void {
    this.requireLock("replace fences");
    this.refuseContainer(fence);
    this.domain.observer?.replaced(this);
    this.domain.observer?.added(this, usage, fence);
    for (let slot = 0; slot < this.slots.count; slot++) {
      if (this.slots.fenceAt(slot)?.context === context) {
        this.slots.put(slot, fence, USAGE_LEVEL[usage]);
      }
    }
    this.domain.publish(fence);
  }

  /** Takes over the unfinished fences of another reservation, of all usages, in place of its own. */
  copyFences(source: Reservation): void {
    this.requireLock("copy fences");
    source.domain.observer?.queried(source, "bookkeep");
    this.domain.observer?.replaced(this);
    this.slots = source.slots.grownTo(source.slots.count);
    this.tellOfAll();
    this.reserve(this.slots.count);
  }

  /** The buffer is gone: drops all fences. */
  close(): void {
    this.slots = NO_SLOTS;
    this.reserve(0);
  }

  // Looking: a query for a usage sees it and all stronger ones.

  /** Calls for each fence in slot order, finished ones as well. Stable only under the lock. */
  forEachFence(
    usage: ReservationUsage,
    visit: (fence: Fence, usage: ReservationUsage) => void,
  ): void {
    this.requireLock("iterate");
    this.domain.observer?.queried(this, usage);
    const { slots } = this;
    for (let slot = 0; slot < slots.count; slot++) {
      const fence = slots.fenceAt(slot);
      const found = USAGES[slots.levelAt(slot)];
      if (fence !== undefined && found !== undefined && slots.levelAt(slot) <= USAGE_LEVEL[usage]) {
        visit(fence, found);
      }
    }
  }

  /** Steps over unfinished fences without the lock. */
  cursor(usage: ReservationUsage): ReservationCursor {
    this.domain.observer?.queried(this, usage);
    return new ReservationCursor(() => this.slots, usage);
  }

  /** The unfinished fences. */
  getFences(usage: ReservationUsage): Fence[] {
    const fences: Fence[] = [];
    const { slots } = this;
    this.domain.observer?.queried(this, usage);
    const level = USAGE_LEVEL[usage];
    for (let slot = 0; slot < slots.count; slot++) {
      const fence = slots.fenceAt(slot);
      if (fence !== undefined && slots.levelAt(slot) <= level && !fence.poll()) {
        fences.push(fence);
      }
    }
    return fences;
  }

  /**
   * One fence for all unfinished ones: none, the one, or an array (which no reservation takes).
   */
  getSingleton(usage: ReservationUsage): Fence | undefined {
    const fences = this.getFences(usage);
    return fences.length > 1 ? new FenceArray(this.domain, fences) : fences[0];
  }

  /** True when nothing at this level is unfinished. */
  testSignaled(usage: ReservationUsage): boolean {
    const { slots } = this;
    const level = USAGE_LEVEL[usage];
    this.domain.observer?.queried(this, usage);
    for (let slot = 0; slot < slots.count; slot++) {
      if (slots.levelAt(slot) <= level && slots.fenceAt(slot)?.poll() === false) {
        return false;
      }
    }
    return true;
  }

  /**
   * Resolves when the fences that are here now are done, however they ended. Fences added meanwhile
   * are not waited for: hold the lock to keep others out. Rejects as `Fence.signaled`.
   */
  idle(usage: ReservationUsage, options?: WaitOptions): Promise<void> {
    return waitForAll(this.getFences(usage), options);
  }

  /** `idle` for what the caller is about to do: readers wait for writers, writers for everyone. */
  idleBefore(access: ReservationAccess, options?: WaitOptions): Promise<void> {
    return this.idle(usageBefore(access), options);
  }

  /** Tells all unfinished fences that somebody wants them by then. */
  setDeadline(usage: ReservationUsage, deadlineNs: number): void {
    for (const fence of this.getFences(usage)) {
      fence.setDeadline(deadlineNs);
    }
  }

  /** A line for each unfinished fence up to `read`, for people; BOOKKEEP is left out as in Linux. */
  describe(): string[] {
    const lines: string[] = [];
    const cursor = this.cursor("read");
    for (let fence = cursor.next(); fence !== undefined; fence = cursor.next()) {
      const name = `${fence.driverName} ${fence.timelineName} seq ${fence.seqno}`;
      lines.push(`${cursor.usage} fence: ${name} unsignaled`);
    }
    return lines;
  }

  private tellOfAll(): void {
    const { observer } = this.domain;
    for (let slot = 0; observer !== undefined && slot < this.slots.count; slot++) {
      const usage = USAGES[this.slots.levelAt(slot)] as ReservationUsage;
      observer.added(this, usage, this.slots.fenceAt(slot));
    }
  }

  private grow(count: number): void {
    if (count > SLOTS_MAX) {
      const message = `"${this.label}": ${count} fence slots, at most ${SLOTS_MAX} are possible`;
      throw new PeerbufError("MEMORY_EXHAUSTED", message);
    }
    this.slots = this.slots.grownTo(count);
  }

  private reserve(slotCount: number): void {
    this.reservedCount = slotCount;
    this.reservedIn = this.ownLock.tenure;
  }

  private usableCount(): number {
    return this.reservedIn === this.ownLock.tenure ? this.reservedCount : this.slots.count;
  }

  private requireLock(what: string): void {
    if (!this.isLocked) {
      throw new PeerbufError("LOCK_NOT_HELD", `"${this.label}" is not locked: cannot ${what}`);
    }
  }

  private refuseContainer(fence: Fence): void {
    if (fence.isContainer) {
      const message = `"${this.label}" cannot hold a ${fence.driverName}: unwrap it first`;
      throw new PeerbufError("FENCE_IS_CONTAINER", message);
    }
  }
}
