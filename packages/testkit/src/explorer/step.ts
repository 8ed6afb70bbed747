/**
 * Step: what an actor yields between two pieces of work, and with it what the next piece is about.
 *
 * An actor is a generator. Whatever it does between two yields happens at once; at a yield anybody else may
 * go on. A bare `yield` says nothing about the next piece, so it counts as touching everything.
 */
import type { Fence } from "@peerbuf/core";

export interface Step {
  /** What the next piece of work does, for the story. */
  readonly label: string;
  /**
   * What it changes, by names of the scenario's own choice; left out: everything. What the ground sees (memory, windows
   * of devices, fences, reservations, buffers of watched exporters) is added by itself. Reduction relies on it.
   */
  readonly touches?: readonly string[];
  /** What it only looks at, `until` included, where the ground does not see it. Two who look commute. */
  readonly reads?: readonly string[];
  /** The actor waits until this is true. Asked often, must change nothing. */
  readonly until?: () => boolean;
  /** The actor waits until this is settled; its value comes back from `yield`, its error is thrown there. */
  readonly promise?: Promise<unknown>;
}

export type Script = Generator<Step | undefined, void, unknown>;

/** The next piece of work touches this, and nothing else that the ground does not see. */
export function step(label: string, touches: readonly string[] = []): Step {
  return { label, touches };
}

/** Goes on when the fence is signaled, whether the work went well or not. */
export function waitFence(label: string, fence: Fence | undefined): Step {
  if (fence === undefined) {
    return { label, touches: [] };
  }
  fence.enableSignaling();
  return { label, touches: [], until: () => fence.poll() };
}

/** Goes on when this is true. */
export function waitUntil(label: string, until: () => boolean): Step {
  return { label, until };
}

/** Goes on with the value of a promise. */
export function promised(label: string, promise: Promise<unknown>): Step {
  return { label, promise };
}
