/**
 * Time limit: work on a modelled machine that has to end.
 *
 * Two bounds. Virtual time: a limit is an event of the clock, so work that waits for something that never
 * comes ends as soon as nothing else is left to happen. And moments: a device that keeps the clock busy
 * without getting on would take real time for ever.
 */
import { PeerbufError } from "@peerbuf/core";
import type { VirtualClock } from "@peerbuf/machine";

/** Moments of the clock that one piece of work may take; a transfer of 1 GiB needs some ten thousand. */
const MOMENTS_MAX = 1_000_000;
/** Turns of the event loop in which work that was ended has to notice. */
const TURNS_TO_SETTLE = 64;

/** What `work` answers. `WAIT_TIMED_OUT` when it does not end within `limitNs`, or within `MOMENTS_MAX` moments. */
export async function endsWithin<T>(
  clock: VirtualClock,
  limitNs: number,
  work: Promise<T>,
  /** A failure of the clock itself, which ends the work at once. */
  failure: () => Error | undefined = () => undefined,
): Promise<T> {
  let isOver = false;
  let isLate = false;
  const settled = (): void => {
    isOver = true;
  };
  work.then(settled, settled);
  const timer = clock.schedule(limitNs, () => {
    isLate = true;
  });
  try {
    for (let moment = 0; !isOver && !isLate; moment++) {
      const failed = failure();
      if (failed !== undefined) {
        throw failed;
      }
      if (moment === MOMENTS_MAX) {
        throw new PeerbufError(
          "WAIT_TIMED_OUT",
          `it was not over after ${MOMENTS_MAX} moments of the clock, ${clock.nowNs} ns: the limit`,
        );
      }
      await nextTurn();
    }
    if (isOver) {
      return await work;
    }
    const seconds = limitNs / 1e9;
    throw new PeerbufError("WAIT_TIMED_OUT", `it was not over after ${seconds} s of virtual time`);
  } finally {
    timer.cancel();
  }
}

/** Has the work ended by now, whichever way? Gives it a stated number of turns to notice. */
export async function settles(work: Promise<unknown>): Promise<boolean> {
  let isOver = false;
  const settled = (): void => {
    isOver = true;
  };
  work.then(settled, settled);
  for (let turn = 0; turn < TURNS_TO_SETTLE && !isOver; turn++) {
    await nextTurn();
  }
  return isOver;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
