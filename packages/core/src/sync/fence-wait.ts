/**
 * Fence wait: turns one fence, all of several or any of several into a promise.
 *
 * Works on the `Fence` interface alone, so every platform's fences share it. Enables signaling, as
 * every waiter must, and leaves no callback behind when the wait ends early.
 */
import { PeerbufError } from "../error.ts";
import type { Fence } from "./fence.ts";
import type { FenceError } from "./fence-error.ts";
import { PendingWait, timeoutRefusal, type WaitOptions } from "./wait.ts";

const NO_OPTIONS: WaitOptions = {};

/** See `Fence.signaled`. */
export function waitForFence(
  fence: Fence,
  options: WaitOptions = NO_OPTIONS,
): Promise<FenceError | undefined> {
  const refused = refusal(fence, options);
  if (refused !== undefined) {
    return Promise.reject(refused);
  }
  if (fence.poll()) {
    return Promise.resolve(fence.error);
  }
  return options.signal === undefined && options.timeoutNs === undefined
    ? waitWithoutLimit(fence, options.waiter)
    : waitWithLimit(fence, options);
}

/** Resolves when all are signaled, whatever their errors. The limit counts for all together. */
export function waitForAll(
  fences: Iterable<Fence>,
  options: WaitOptions = NO_OPTIONS,
): Promise<void> {
  const active = [...new Set(fences)].filter((fence) => !fence.poll());
  let left = active.length;
  return waitForSeveral(active, options, `wait for ${left} fences`, () => --left === 0);
}

/**
 * Resolves with the index of a signaled fence, the lowest when several are signaled already.
 * No fences: `ARGUMENT_INVALID`, as waiting would never end.
 */
export async function waitForAny(
  fences: readonly Fence[],
  options: WaitOptions = NO_OPTIONS,
): Promise<number> {
  if (fences.length === 0) {
    throw new PeerbufError("ARGUMENT_INVALID", "a wait for any of no fences never ends");
  }
  if (!fences.some((fence) => fence.poll())) {
    const what = `wait for any of ${fences.length} fences`;
    await waitForSeveral([...new Set(fences)], options, what, () => true);
  }
  return fences.findIndex((fence) => fence.isSignaled);
}

function waitWithoutLimit(
  fence: Fence,
  waiter: string | undefined,
): Promise<FenceError | undefined> {
  return new Promise((resolve) => {
    const wake = (): void => resolve(fence.error);
    if (fence.addCallback(wake, waiter) === "signaled") {
      resolve(fence.error);
    }
  });
}

async function waitWithLimit(fence: Fence, options: WaitOptions): Promise<FenceError | undefined> {
  const what = `wait for ${fence.driverName} ${fence.timelineName} ${fence.seqno}`;
  await waitForSeveral([fence], options, what, () => true);
  return fence.error;
}

/** The fences are distinct. `isOver` is asked once for each that signals. */
function waitForSeveral(
  fences: readonly Fence[],
  options: WaitOptions,
  what: string,
  isOver: () => boolean,
): Promise<void> {
  const [first] = fences;
  if (first === undefined) {
    return Promise.resolve();
  }
  const refused = refusal(first, options);
  if (refused !== undefined) {
    return Promise.reject(refused);
  }
  const leave = (): void => {
    for (const fence of fences) {
      fence.removeCallback(wake);
    }
  };
  const wake = (): void => {
    if (isOver()) {
      leave();
      wait.resolve();
    }
  };
  for (const fence of fences) {
    fence.enableSignaling();
  }
  const wait = new PendingWait<void>(first.context.domain.clock, options, what, leave);
  queueOn(fences, wake, wait, options.waiter);
  return wait.promise;
}

/** Stops as soon as the wait is over: a callback queued after that would never be taken back. */
function queueOn(
  fences: readonly Fence[],
  wake: () => void,
  wait: PendingWait<void>,
  waiter: string | undefined,
): void {
  for (const fence of fences) {
    if (wait.isSettled) {
      return;
    }
    if (fence.addCallback(wake, waiter) === "signaled") {
      wake();
    }
  }
}

function refusal(fence: Fence, options: WaitOptions): PeerbufError | undefined {
  return timeoutRefusal(options) ?? fence.context.domain.signalling.refusal("wait for a fence");
}
