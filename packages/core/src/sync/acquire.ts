/**
 * Acquire: takes the locks of several reservations without a deadlock.
 *
 * The loop every user of ww mutexes has to write (Documentation/locking/ww-mutex-design.rst): on
 * back-off give everything back, wait for the contended lock first, start again. The stamp stays, so
 * the task becomes the oldest in the end and the loop ends when the holders before it let go.
 */
import { PeerbufError } from "../error.ts";
import type { FenceDomain } from "./fence-context.ts";
import { LockError } from "./lock-error.ts";
import { AcquireContext, type LockHolder, type LockOwner } from "./lock-owner.ts";
import type { WaitOptions } from "./wait.ts";

/** What `lockAll` needs of a reservation. */
export interface Lockable {
  readonly label: string;
  readonly domain: FenceDomain;
  lock(holder: LockHolder, options?: WaitOptions): Promise<void>;
  lockSlow(context: AcquireContext, options?: WaitOptions): Promise<void>;
  unlock(holder: LockHolder): void;
}

/** All the locks, to be given back in reverse order of taking; `using` does it on every path. */
export interface LockGuard {
  /** What is held, each once. */
  readonly locked: readonly Lockable[];
  /** `WRONG_ORDER` when called twice. */
  unlock(): void;
  /** Unlocks unless `unlock` did. */
  [Symbol.dispose](): void;
}

type Attempt = { readonly locked: Lockable[] } | { readonly contended: Lockable };

/**
 * Locks all of them or none; one that is listed twice is locked once. `holder` is the task's
 * owner, or a context that holds nothing yet (it keeps its seniority over several goes and stays its
 * maker's to finish). A task that holds locks from before is refused with `LOCK_DEADLOCK`: list all
 * of them in one call. `timeoutNs` counts for all locks together.
 */
export async function lockAll(
  wanted: Iterable<Lockable>,
  holder: AcquireContext | LockOwner,
  options: WaitOptions = {},
): Promise<LockGuard> {
  const locks = [...new Set(wanted)];
  const [first] = locks;
  if (first === undefined) {
    return new HeldLocks([], undefined, undefined);
  }
  if (holder instanceof AcquireContext) {
    return new HeldLocks(await takeAll(locks, holder, options, first.domain), holder, undefined);
  }
  const context = new AcquireContext(first.domain, holder);
  return new HeldLocks(await takeAll(locks, context, options, first.domain), context, context);
}

async function takeAll(
  locks: readonly Lockable[],
  context: AcquireContext,
  options: WaitOptions,
  domain: FenceDomain,
): Promise<readonly Lockable[]> {
  if (context.heldCount > 0) {
    const message = `"${context.label}" already holds ${context.heldCount} lock(s): backing off would take them away`;
    throw new PeerbufError("WRONG_ORDER", message);
  }
  const remaining = countdown(domain, options);
  let attempt: Attempt = await tryAll(locks, undefined, context, remaining);
  while ("contended" in attempt) {
    attempt = await tryAll(locks, attempt.contended, context, remaining);
  }
  return attempt.locked;
}

/** One round: everything, or nothing and the lock to begin the next round with. */
async function tryAll(
  locks: readonly Lockable[],
  contended: Lockable | undefined,
  context: AcquireContext,
  remaining: () => WaitOptions,
): Promise<Attempt> {
  const locked: Lockable[] = [];
  let next = contended;
  try {
    if (contended !== undefined) {
      await contended.lockSlow(context, remaining());
      locked.push(contended);
    }
    for (next of locks) {
      if (next !== contended) {
        await next.lock(context, remaining());
        locked.push(next);
      }
    }
    return { locked };
  } catch (error) {
    unlockAll(locked, context);
    if (next !== undefined && error instanceof LockError && error.code === "LOCK_BACK_OFF") {
      return { contended: next };
    }
    throw error;
  }
}

/** The options with what is left of the limit at each call. */
function countdown({ clock }: FenceDomain, options: WaitOptions): () => WaitOptions {
  const { timeoutNs } = options;
  if (timeoutNs === undefined) {
    return () => options;
  }
  const endNs = clock.nowNs + timeoutNs;
  return () => ({
    ...options,
    timeoutNs: timeoutNs < 0 ? timeoutNs : Math.max(0, endNs - clock.nowNs),
  });
}

function unlockAll(locked: readonly Lockable[], context: AcquireContext): void {
  for (let index = locked.length - 1; index >= 0; index--) {
    locked[index]?.unlock(context);
  }
}

class HeldLocks implements LockGuard {
  readonly locked: readonly Lockable[];
  private readonly context: AcquireContext | undefined;
  private readonly ownContext: AcquireContext | undefined;
  private isUnlocked = false;

  constructor(
    locked: readonly Lockable[],
    context: AcquireContext | undefined,
    ownContext: AcquireContext | undefined,
  ) {
    this.locked = locked;
    this.context = context;
    this.ownContext = ownContext;
    ownContext?.done();
  }

  unlock(): void {
    if (this.isUnlocked) {
      throw new PeerbufError("WRONG_ORDER", `"${this.context?.label}" has unlocked these already`);
    }
    this.isUnlocked = true;
    if (this.context !== undefined) {
      unlockAll(this.locked, this.context);
    }
    this.ownContext?.finish();
  }

  [Symbol.dispose](): void {
    if (!this.isUnlocked) {
      this.unlock();
    }
  }
}
