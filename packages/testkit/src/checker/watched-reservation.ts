/**
 * Watched reservation: who takes its lock, who waits, and whether it is changed as it should be.
 */
import {
  type Fence,
  type FenceContext,
  LockError,
  type LockHolder,
  PeerbufError,
  type PeerbufErrorCode,
  Reservation,
  type ReservationUsage,
} from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import { nameOf } from "./fence-book.ts";
import type { LastQuestion, Watch } from "./watch.ts";

/** Buffers may share one: it is watched once. */
export function watchReservation(watch: Watch, reservation: Reservation): void {
  if (!watch.reservations.has(reservation)) {
    watch.reservations.add(reservation);
    watch.atEnd(new ReservationWatch(watch, reservation));
  }
}

const WATCH: unique symbol = Symbol("watch");

interface Watched extends Reservation {
  [WATCH]: ReservationWatch;
}

/** What the watched operations have to know; the operations themselves are shared by all reservations. */
class ReservationWatch implements LastQuestion {
  readonly watch: Watch;
  readonly label: string;
  readonly #reservation: Reservation;

  constructor(watch: Watch, reservation: Reservation) {
    this.watch = watch;
    this.label = reservation.label;
    this.#reservation = reservation;
    (reservation as Watched)[WATCH] = this;
    reservation.lock = watchedLock;
    reservation.lockSlow = watchedLockSlow;
    reservation.unlock = watchedUnlock;
    reservation.reserveFences = watchedReserve;
    reservation.addFence = watchedAdd;
    reservation.replaceFences = watchedReplace;
    reservation.idle = watchedIdle;
  }

  ask(): void {
    const { watch, label } = this;
    const reservation = this.#reservation;
    if (reservation.isLocked) {
      watch.log.report("SYN-015", label, `is still held by ${reservation.holder?.label}`);
    }
    if (reservation.lockWaiters.length > 0) {
      const text = `has waiters to the end: ${reservation.lockWaiters.join(", ")}`;
      watch.log.report("SYN-020", label, text);
    }
  }
}

// One of each for all reservations. Core's own are those of its class: nobody else replaces them.

const { lock, lockSlow, unlock, reserveFences, addFence, replaceFences, idle } =
  Reservation.prototype;

const watchOf = (reservation: Reservation): ReservationWatch => (reservation as Watched)[WATCH];

function watchedLock(this: Reservation, ...asked: Parameters<Reservation["lock"]>): Promise<void> {
  return waiting(watchOf(this), asked[0], () => lock.apply(this, asked));
}

function watchedLockSlow(
  this: Reservation,
  ...asked: Parameters<Reservation["lockSlow"]>
): Promise<void> {
  return waiting(watchOf(this), asked[0], () => lockSlow.apply(this, asked));
}

function waiting(
  { watch, label }: ReservationWatch,
  holder: LockHolder,
  wait: () => Promise<void>,
): Promise<void> {
  const { current: actor, task } = watch.actors;
  watch.fences.waitsForLock(label);
  const held = watch.locks.find((each) => each.task === task && each.holder !== holder);
  const isAlone = task === undefined || held === undefined || held.label === label;
  const waited = wait();
  waited.then(
    () => {
      watch.fences.tookLock(label, actor, task);
      watch.locks.push({ label, holder, task });
    },
    (error: unknown) => reportLock(watch, label, error),
  );
  if (!isAlone) {
    const text = `is waited for by ${actor} under the lock of ${held.label}, as another owner`;
    watch.log.report("SYN-009", label, text);
  }
  return waited;
}

function watchedUnlock(this: Reservation, holder: LockHolder): void {
  const { watch, label } = watchOf(this);
  try {
    unlock.call(this, holder);
  } catch (error) {
    reportLock(watch, label, error);
    throw error;
  }
  watch.fences.gaveLock(label);
  const at = watch.locks.findIndex((each) => each.label === label && each.holder === holder);
  if (at >= 0) {
    watch.locks.splice(at, 1);
  }
}

function watchedReserve(this: Reservation, count: number): void {
  try {
    reserveFences.call(this, count);
  } catch (error) {
    reportLock(watchOf(this).watch, this.label, error);
    throw error;
  }
}

function watchedAdd(this: Reservation, fence: Fence, usage: ReservationUsage): void {
  const { watch, label } = watchOf(this);
  checkHolder(watch, label);
  checkDomain(watch, this, fence);
  watch.fences.publish(fence, { label, usage });
  try {
    addFence.call(this, fence, usage);
  } catch (error) {
    reportLock(watch, label, error);
    throw error;
  }
}

function watchedReplace(
  this: Reservation,
  context: FenceContext,
  fence: Fence,
  usage: ReservationUsage,
): void {
  const { watch, label } = watchOf(this);
  checkHolder(watch, label);
  watch.fences.publish(fence, { label, usage });
  try {
    replaceFences.call(this, context, fence, usage);
  } catch (error) {
    reportLock(watch, label, error);
    throw error;
  }
}

function watchedIdle(this: Reservation, ...asked: Parameters<Reservation["idle"]>): Promise<void> {
  for (const fence of this.getFences(asked[0])) {
    watchOf(this).watch.fences.waitsForFence(fence);
  }
  return idle.apply(this, asked);
}

/** Two domains number their contexts alike: an order between their fences means nothing. */
function checkDomain(watch: Watch, { domain, label }: Reservation, fence: Fence): void {
  if (fence.context.domain !== domain) {
    const text = `${nameOf(fence)} on ${label} is not of the framework's fence domain`;
    watch.log.report("IMP-046", watch.actors.current || fence.driverName, text);
  }
}

/** Under a lock that somebody else waited for and got. */
function checkHolder(watch: Watch, label: string): void {
  const holder = watch.fences.holderOf(label);
  const { current } = watch.actors;
  if (holder !== undefined && holder !== "" && current !== "" && holder !== current) {
    watch.log.report("SYN-008", label, `is changed by ${current} under the lock of ${holder}`);
  }
}

const RULE_OF_CODE: Partial<Record<PeerbufErrorCode, RuleId>> = {
  SLOT_NOT_RESERVED: "SYN-007",
  LOCK_NOT_HELD: "SYN-008",
  LOCK_DEADLOCK: "SYN-009",
  FENCE_IS_CONTAINER: "SYN-011",
  WAIT_IN_SIGNALLING: "SYN-004",
};

function reportLock(watch: Watch, label: string, error: unknown): void {
  if (error instanceof LockError && error.code === "WRONG_ORDER") {
    watch.log.report("SYN-010", label, error.message);
  } else if (error instanceof PeerbufError) {
    const rule = RULE_OF_CODE[error.code];
    if (rule !== undefined) {
      watch.log.report(rule, label, error.message);
    }
  }
}
