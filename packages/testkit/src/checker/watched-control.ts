/**
 * Watched control: an exporter's moves and revocations of one buffer.
 */
import type { BufferControl, Fence, PhysicalRanges } from "@peerbuf/core";
import { isPromise } from "./answers.ts";
import { nameOf } from "./fence-book.ts";
import type { Watch } from "./watch.ts";

/** How often the buffer was moved or revoked: what was placed before the last time is stale. */
export interface Motions {
  count: number;
  /** Where it was placed since it moved last. */
  lastPlace: PhysicalRanges | undefined;
}

export function watchControl(
  watch: Watch,
  exporter: string,
  subject: string,
  control: BufferControl,
): Motions {
  const motions: Motions = { count: 0, lastPlace: undefined };
  const { move, revoke } = control;
  control.move = (why, start) => {
    motions.count++;
    const moved = (after: Fence): Fence => {
      watch.moves.begun(subject, motions.lastPlace, after);
      motions.lastPlace = undefined;
      const copy = start(after);
      if (isFence(watch, subject, control, copy)) {
        watch.moves.answered(subject, copy);
        checkCopy(watch, subject, after, copy);
      }
      return copy;
    };
    return watch.actors.run(exporter, () => move.call(control, why, moved));
  };
  control.revoke = (why, options) => {
    motions.count++;
    return revoke.call(control, why, options);
  };
  return motions;
}

function isFence(watch: Watch, subject: string, control: BufferControl, copy: Fence): boolean {
  if (isPromise(copy)) {
    watch.log.report("EXP-024", subject, "answers a move with a promise");
    return false;
  }
  if (typeof copy?.addCallback !== "function") {
    watch.log.report("SYN-019", subject, "a move hands on no fence");
    return false;
  }
  if (copy.context.domain !== control.reservation.domain) {
    watch.log.report("EXP-039", subject, "a move hands on a fence of another domain");
  }
  return true;
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
