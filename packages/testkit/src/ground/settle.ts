/**
 * Settle: lets a world run on its own, in the order of time, until nothing is left to happen.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Lane } from "./ground-clock.ts";
import type { World } from "./world.ts";

const EVENTS_MAX = 100_000;

/** Runs every event, and what promises make of it. `CLOCK_RUNAWAY` when events keep making events. */
export async function settleWorld(world: World): Promise<void> {
  await pendingTasks();
  for (let events = 0; events < EVENTS_MAX; events++) {
    const next = earliest(world.clock.lanes);
    if (next === undefined) {
      return;
    }
    next.runFirst();
    await pendingTasks();
  }
  throw new PeerbufError("CLOCK_RUNAWAY", `the world is not still after ${EVENTS_MAX} events`);
}

/** An immediate runs when no promise is left that could go on. */
export const pendingTasks = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

function earliest(lanes: readonly Lane[]): Lane | undefined {
  let found: Lane | undefined;
  for (const lane of lanes) {
    if (lane.length > 0 && (found === undefined || lane.dueNs < found.dueNs)) {
      found = lane;
    }
  }
  return found;
}
