/**
 * Watched reservation: who takes its lock, who waits, and whether it is changed as it should be.
 */
import {
  type Fence,
  LockError,
  type LockHolder,
  PeerbufError,
  type PeerbufErrorCode,
  type Reservation,
} from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import { nameOf } from "./fence-book.ts";
import type { Watch } from "./watch.ts";

/** Buffers may share one: it is watched once. */
export function watchReservation(watch: Watch, reservation: Reservation): void {
  if (watch.reservations.has(reservation)) {
    return;
  }
  watch.reservations.add(reservation);
  watchLocks(watch, reservation);
  watchChanges(watch, reservation);
  watch.atEnd({
    ask() {
      if (reservation.isLocked) {
        const text = `is still held by ${reservation.holder?.label}`;
        watch.log.report("SYN-015", reservation.label, text);
      }
      if (reservation.lockWaiters.length > 0) {
        const text = `has waiters to the end: ${reservation.lockWaiters.join(", ")}`;
        watch.log.report("SYN-020", reservation.label, text);
      }
    },
  });
}

function watchLocks(watch: Watch, reservation: Reservation): void {
  const { lock, lockSlow, unlock } = reservation;
  const { label } = reservation;
  const waiting = (holder: LockHolder, wait: () => Promise<void>): Promise<void> => {
    const { current: actor, task } = watch.actors;
    watch.fences.waitsForLock(label);
    const held = watch.locks.find((lock) => lock.task === task && lock.holder !== holder);
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
  };
  reservation.lock = (holder, options) =>
    waiting(holder, () => lock.call(reservation, holder, options));
  reservation.lockSlow = (holder, options) =>
    waiting(holder, () => lockSlow.call(reservation, holder, options));
  reservation.unlock = (holder: LockHolder) => {
    guarded(watch, label, () => unlock.call(reservation, holder));
    watch.fences.gaveLock(label);
    const at = watch.locks.findIndex((lock) => lock.label === label && lock.holder === holder);
    watch.locks.splice(at, at < 0 ? 0 : 1);
  };
}

function watchChanges(watch: Watch, reservation: Reservation): void {
  const { reserveFences, addFence, replaceFences, idle } = reservation;
  const { label } = reservation;
  reservation.reserveFences = (count) =>
    guarded(watch, label, () => reserveFences.call(reservation, count));
  reservation.addFence = (fence, usage) => {
    checkHolder(watch, label);
    checkDomain(watch, reservation, fence);
    watch.fences.publish(fence, { label, usage });
    guarded(watch, label, () => addFence.call(reservation, fence, usage));
  };
  reservation.replaceFences = (context, fence, usage) => {
    checkHolder(watch, label);
    watch.fences.publish(fence, { label, usage });
    guarded(watch, label, () => replaceFences.call(reservation, context, fence, usage));
  };
  reservation.idle = (usage, options) => {
    for (const fence of reservation.getFences(usage)) {
      watch.fences.waitsForFence(fence);
    }
    return idle.call(reservation, usage, options);
  };
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

function guarded<T>(watch: Watch, label: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    reportLock(watch, label, error);
    throw error;
  }
}

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
