/**
 * Hand out: an exploration over a queue: this command gives the shares out, and works on them like everybody else.
 */
import {
  type Campaign,
  type ExploreProgress,
  type ExploreReport,
  Hands,
  type Scenario,
} from "@peerbuf/testkit";
import { programOf } from "./program.ts";
import { openDoor } from "./redis-door.ts";
import { handOut } from "./share-owner.ts";
import { ShareTaker } from "./share-taker.ts";

export interface HandOutOptions {
  readonly url: string;
  /** The driver's module. */
  readonly path: string;
  /** The same as a person wrote it. */
  readonly file: string;
  readonly driver: string;
  /** All scenarios of the driver. */
  readonly scenarios: readonly Scenario[];
  readonly workers: number;
  readonly heapMiB: number;
  readonly onProgress: (progress: ExploreProgress) => void;
  readonly signal: AbortSignal;
}

/** `InputError` for a Redis that is not there or goes away; `DRIVER_BROKEN` for runs that end every helper. */
export async function exploreWithOthers(
  campaigns: readonly [Campaign, ...Campaign[]],
  options: HandOutOptions,
): Promise<ExploreReport[]> {
  const { path, file, driver, scenarios, workers, onProgress, signal } = options;
  const door = await openDoor(options.url);
  const hands = new Hands(options);
  try {
    const program = await programOf(path, driver, scenarios);
    const [{ source }] = campaigns;
    const helper = new ShareTaker({ door, program, source, file, hands, workers });
    await Promise.race([door.lost, helper.begin()]);
    const over = new AbortController();
    // First what is under way here is put back, then all that waits is taken out.
    const stop = (): void => void helper.end().finally(() => over.abort());
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) {
      stop(); // While we were connecting.
    }
    const reports = handOut(campaigns, { door, program, onProgress, signal: over.signal });
    try {
      return await Promise.race([helper.refused, reports]);
    } finally {
      signal.removeEventListener("abort", stop);
      await Promise.race([door.lost.catch(() => undefined), helper.end()]);
    }
  } catch (error) {
    throw door.told(error);
  } finally {
    await hands.close();
    await door.close();
  }
}
