/**
 * Afterwards: work that begins when other work is over.
 *
 * The fence exists at once, so that nobody has to wait to hand it on; it signals with the outcome of
 * the work. What went wrong before does not keep the work from running: its own outcome counts.
 */
import {
  type Fence,
  type FenceContext,
  type FenceDomain,
  FenceError,
  SoftwareFence,
} from "@peerbuf/core";

export class Afterwards {
  readonly #fences: FenceDomain;
  readonly #label: string;

  constructor(fences: FenceDomain, label: string) {
    this.#fences = fences;
    this.#label = label;
  }

  /** Begins `work` at once if `after` is over, else when it is. */
  begin(after: Fence | undefined, work: () => Fence): Fence {
    if (after === undefined || after.isSignaled) {
      return work();
    }
    const outcome = new SoftwareFence(this.#newContext(), 1);
    whenOver(after, () => startFor(outcome, work));
    return outcome;
  }

  /** Pieces of work wait for different things and end in any order: they have no timeline in common. */
  #newContext(): FenceContext {
    return this.#fences.createContext({ driverName: "gpu", timelineName: this.#label });
  }
}

/** Calls `act` when the fence is signaled, now if it is. */
export function whenOver(fence: Fence, act: () => void): void {
  if (fence.addCallback(() => act()) === "signaled") {
    act();
  }
}

/** Runs inside a signal, where nothing may throw. */
function startFor(outcome: SoftwareFence, work: () => Fence): void {
  try {
    const running = work();
    whenOver(running, () => finish(outcome, running.error));
  } catch (error) {
    finish(outcome, new FenceError("EIO", "the work could not begin", { cause: error }));
  }
}

function finish(outcome: SoftwareFence, error: FenceError | undefined): void {
  if (error !== undefined) {
    outcome.setError(error);
  }
  outcome.signal();
}
