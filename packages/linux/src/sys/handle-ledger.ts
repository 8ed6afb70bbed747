/**
 * Handle ledger: what this process took from the kernel and has not given back.
 *
 * Every owned handle is entered with the place that made it. One that is garbage collected unclosed is
 * given back by us and reported as a warning that names this place: a leak is a bug even when we mend it.
 */
import { findMaker } from "./maker.ts";

export interface OpenHandle {
  /** e.g. `descriptor 23 of udmabuf`. */
  readonly what: string;
  /** `file:line:column` of the call that made it. */
  readonly madeAt: string;
}

/** What has to be known to give a handle back when its owner is gone; `close` it when it was given back. */
export class Ticket {
  readonly what: string;
  readonly madeAt: string;
  readonly #giveBack: () => void;

  constructor(what: string, madeAt: string, giveBack: () => void) {
    this.what = what;
    this.madeAt = madeAt;
    this.#giveBack = giveBack;
  }

  get isOpen(): boolean {
    return live.has(this);
  }

  close(): void {
    live.delete(this);
    forgotten.unregister(this);
  }

  /** The handle is not ours any more, through no doing of its owner: nothing is given back. */
  lose(why: string): void {
    this.close();
    warn("HANDLE_LOST", `${this.what} ${why}; it was made at ${this.madeAt}`);
  }

  /** The owner was collected. */
  forget(): void {
    if (live.delete(this)) {
      this.#giveBack();
      warn("HANDLE_LEAKED", `${this.what} was never closed; it was made at ${this.madeAt}`);
    }
  }
}

const live = new Set<Ticket>();
const forgotten = new FinalizationRegistry<Ticket>((ticket) => ticket.forget());

/**
 * `giveBack` must not refer to `owner`, or it would never be collected. `madeAt` is found on the stack unless
 * the stack says nothing, as for what came from a peer.
 */
export function enter(
  owner: object,
  what: string,
  giveBack: () => void,
  madeAt: string = findMaker(),
): Ticket {
  const ticket = new Ticket(what, madeAt, giveBack);
  live.add(ticket);
  forgotten.register(owner, ticket, ticket);
  return ticket;
}

/** Everything that is out, oldest first. For tests and for reports at exit. */
export const openHandles = (): OpenHandle[] =>
  Array.from(live, ({ what, madeAt }) => ({ what, madeAt }));

function warn(code: "HANDLE_LEAKED" | "HANDLE_LOST", text: string): void {
  process.emitWarning(text, { type: "PeerbufLeak", code });
}
