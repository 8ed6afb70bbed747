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
    warn("HANDLE_LEAKED", `${entry.what} was never closed; it was made at ${entry.madeAt}`);
  }
});

/** A ticket for one handle; `close` it when the handle is given back. */
export class Ticket {
  readonly #entry: Entry;

  constructor(entry: Entry) {
    this.#entry = entry;
  }

  get isOpen(): boolean {
    return live.has(this.#entry);
  }

  close(): void {
    live.delete(this.#entry);
    forgotten.unregister(this.#entry);
  }

  /** The handle is not ours any more, through no doing of its owner: nothing is given back. */
  lose(why: string): void {
    const { what, madeAt } = this.#entry;
    this.close();
    warn("HANDLE_LOST", `${what} ${why}; it was made at ${madeAt}`);
  }
}

/** `giveBack` must not refer to `owner`, or it would never be collected. */
export function enter(owner: object, what: string, giveBack: () => void): Ticket {
  const entry: Entry = { what, madeAt: findMaker(), giveBack };
  live.add(entry);
  forgotten.register(owner, entry, entry);
  return new Ticket(entry);
}

/** Everything that is out, oldest first. For tests and for reports at exit. */
export const openHandles = (): OpenHandle[] =>
  Array.from(live, ({ what, madeAt }) => ({ what, madeAt }));

function warn(code: "HANDLE_LEAKED" | "HANDLE_LOST", text: string): void {
  process.emitWarning(text, { type: "PeerbufLeak", code });
}
