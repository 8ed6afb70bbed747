/**
 * Handle ledger: what this process took from the kernel and has not given back.
 *
 * Every owned handle is entered with the place that made it. One that is garbage collected unclosed is
 * given back by us and reported as a warning that names this place: a leak is a bug even when we mend it.
 */
import { findMaker } from "./maker.ts";

/** What has to be known to give a handle back when its owner is gone. */
interface Entry {
  readonly what: string;
  readonly madeAt: string;
  readonly giveBack: () => void;
}

export interface OpenHandle {
  /** e.g. `descriptor 23 of udmabuf`. */
  readonly what: string;
  /** `file:line:column` of the call that made it. */
  readonly madeAt: string;
}

const live = new Set<Entry>();

const forgotten = new FinalizationRegistry<Entry>((entry) => {
  if (live.delete(entry)) {
    entry.giveBack();
    process.emitWarning(`${entry.what} was never closed; it was made at ${entry.madeAt}`, {
      type: "PeerbufLeak",
      code: "HANDLE_LEAKED",
    });
  }
});

/** A ticket for one handle; `close` it when the handle is given back. */
export interface Ticket {
  close(): void;
}

/** `giveBack` must not refer to `owner`, or it would never be collected. */
export function enter(owner: object, what: string, giveBack: () => void): Ticket {
  const entry: Entry = { what, madeAt: findMaker(), giveBack };
  live.add(entry);
  forgotten.register(owner, entry, entry);
  return {
    close() {
      live.delete(entry);
      forgotten.unregister(entry);
    },
  };
}

/** Everything that is out, oldest first. For tests and for reports at exit. */
export const openHandles = (): OpenHandle[] =>
  Array.from(live, ({ what, madeAt }) => ({ what, madeAt }));
