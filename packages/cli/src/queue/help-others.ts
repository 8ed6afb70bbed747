/**
 * Help others: shares of somebody else's exploration of the same driver, until it is enough.
 */
import { Hands } from "@peerbuf/testkit";
import type { DriverModule } from "../driver-kit/driver-module.ts";
import { scenariosOf } from "../driver-kit/driver-scenes.ts";
import type { HelpReport, KitMessage, KitOrder } from "../driver-kit/kit-order.ts";
import { sourceOf } from "../driver-kit/scenario-source.ts";
import { programOf } from "./program.ts";
import { openDoor } from "./redis-door.ts";
import { ShareTaker } from "./share-taker.ts";

export interface HelpContext {
  readonly tell: (message: KitMessage) => void;
  readonly signal: AbortSignal;
}

/** `InputError` for a Redis that is not there or goes away, and for a campaign of another program. */
export async function helpOthers(
  order: KitOrder,
  module: DriverModule,
  { tell, signal }: HelpContext,
): Promise<HelpReport> {
  const door = await openDoor(order.queue ?? "");
  const hands = new Hands(order);
  try {
    const program = await programOf(order.path, module.driver.name, scenariosOf(module));
    const helper = new ShareTaker({
      door,
      program,
      source: sourceOf(order),
      file: order.source,
      hands,
      workers: order.workers,
      ...toldOf(() => helper.schedules, tell),
    });
    await Promise.race([door.lost, helper.begin()]);
    tell({ kind: "stage", stage: "wait", total: 0 });
    try {
      await Promise.race([door.lost, helper.refused, aborted(signal)]);
    } finally {
      await Promise.race([door.lost.catch(() => undefined), helper.end()]);
    }
    return { shares: helper.shares, schedules: helper.schedules };
  } catch (error) {
    throw door.told(error);
  } finally {
    await hands.close();
    await door.close();
  }
}

/** Whoever watches us has to know when there is something to wait for. */
function toldOf(done: () => number, tell: (message: KitMessage) => void) {
  let busy = 0;
  return {
    onProgress: (schedules: number): void =>
      tell({ kind: "progress", done: done() + schedules, what: "a share" }),
    onBusy(change: 1 | -1): void {
      const wasIdle = busy === 0;
      busy += change;
      if (wasIdle || busy === 0) {
        tell({ kind: "stage", stage: busy === 0 ? "wait" : "explore", total: 0 });
      }
    },
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    }
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
