/**
 * Watched control: an exporter's moves and revocations of one buffer.
 */
import type { BufferControl, Fence } from "@peerbuf/core";
import { nameOf } from "./fence-book.ts";
import type { Watch } from "./watch.ts";

/** How often the buffer was moved or revoked: what was placed before the last time is stale. */
export interface Motions {
  count: number;
}

export function watchControl(watch: Watch, subject: string, control: BufferControl): Motions {
  const motions: Motions = { count: 0 };
  const { move, revoke } = control;
  control.move = (why, start) => {
    motions.count++;
    return move.call(control, why, (after) => {
      const copy = start(after);
      checkCopy(watch, subject, after, copy);
      return copy;
    });
  };
  control.revoke = (why, options) => {
    motions.count++;
    return revoke.call(control, why, options);
  };
  return motions;
}

/** The copy's fence must not signal while work on the old place still runs. */
function checkCopy(watch: Watch, subject: string, after: Fence, copy: Fence): void {
  if (after.isSignaled || copy === after) {
    return;
  }
  const check = (): void => {
    if (!after.poll()) {
      const text = `${nameOf(copy)} of a move signals before the last work on the old place is over`;
      watch.log.report("EXP-019", subject, text);
    }
  };
  if (copy.addCallback(check, "checker") === "signaled") {
    check();
  }
}
