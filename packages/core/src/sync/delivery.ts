/**
 * Delivery: runs callbacks of signaled fences, and the work they put off.
 *
 * Containers do not signal from inside a member's callback but right after it, as Linux does from
 * irq_work: a chain of a hundred thousand nodes then needs no deep stack. Everything is done before
 * the outermost signal returns. A callback that throws keeps nobody else from being called; what
 * was thrown comes out of the outermost signal at the end.
 *
 * The queue is empty between signals and holds at most one entry per container being signaled.
 */
import { PeerbufError } from "../error.ts";
import type { Fence, FenceCallback } from "./fence.ts";

/** A container whose turn to signal, or to wait for its next member, has come. */
export interface DeferredSignal {
  runDeferred(): void;
}

let depth = 0;
let deferred: DeferredSignal[] = [];
let failures: unknown[] = [];

/** Every `beginDelivery` is followed by `endDelivery`, with nothing in between that can throw. */
export function beginDelivery(): void {
  depth++;
}

export function deliver(callback: FenceCallback, fence: Fence): void {
  try {
    callback(fence);
  } catch (failure) {
    failures.push(failure);
  }
}

/** Runs after the callbacks of the present signal. Only callbacks may ask for it. */
export function defer(work: DeferredSignal): void {
  deferred.push(work);
}

/** Throws `FENCE_CALLBACK_FAILED` at the outermost level when a callback threw. */
export function endDelivery(): void {
  if (depth === 1) {
    drain();
  }
  depth--;
  if (depth === 0 && failures.length > 0) {
    throw takeFailure();
  }
}

function drain(): void {
  for (let index = 0; index < deferred.length; index++) {
    try {
      deferred[index]?.runDeferred();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (deferred.length > 0) {
    deferred = [];
  }
}

function takeFailure(): PeerbufError {
  const errors = failures;
  failures = [];
  const cause = errors.length === 1 ? errors[0] : new AggregateError(errors);
  const message = `${errors.length} fence callback(s) threw; all others were called`;
  return new PeerbufError("FENCE_CALLBACK_FAILED", message, { cause });
}
