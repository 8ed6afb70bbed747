/**
 * Handle ledger: what this thread took from the kernel and has not given back.
 *
 * Every owned handle is entered with the place that made it. One that is garbage collected unclosed is
 * given back by us and reported as a warning that names this place: a leak is a bug even when we mend it.
 *
 * To be told of a collection costs more than a system call, and most handles are closed soon. So a new one
 * is held for a moment, 100 ms or until 256 newer ones, and only what is still open then is watched.
 */
// Node's own, also where a window has another (Electron).
import { setTimeout } from "node:timers";
import { findMaker } from "./maker.ts";

export interface OpenHandle {
  /** e.g. `descriptor 23 of udmabuf`. */
  readonly what: string;
  /** `file:line:column` of the call that made it. */
  readonly madeAt: string;
}

/** Handles that are held, not watched yet. */
const YOUNG_MAX = 256;
const YOUNG_MS = 100;

/**
 * What has to be known to give a handle back when its owner is gone. It is open from its making until `close`,
 * and must not refer to the owner in any member of its own, or that would never be collected.
 */
export abstract class Ticket {
  readonly madeAt: string;
  /** Held while it is young. */
  #owner: object | undefined;
  #isOpen = true;
  #isWatched = false;
  #older: Ticket | undefined;
  #newer: Ticket | undefined;

  /** `madeAt` is found on the stack unless the stack says nothing, as for what came from a peer. */
  constructor(owner: object, madeAt: string = findMaker()) {
    this.madeAt = madeAt;
    this.#owner = owner;
    this.#older = newest;
    if (newest !== undefined) {
      newest.#newer = this;
    }
    newest = this;
    holdForAMoment(this);
  }

  /** For messages. */
  abstract get what(): string;

  /** The owner was collected: what it should have done. */
  protected abstract giveBack(): void;

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** It was given back. */
  close(): void {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    this.#owner = undefined;
    this.#unlink();
    if (this.#isWatched) {
      forgotten.unregister(this);
    }
  }

  /** The handle is not ours any more, through no doing of its owner: nothing is given back. */
  lose(why: string): void {
    this.close();
    warn("HANDLE_LOST", `${this.what} ${why}; it was made at ${this.madeAt}`);
  }

  /** The owner was collected. */
  forget(): void {
    if (this.#isOpen) {
      this.close();
      this.giveBack();
      warn("HANDLE_LEAKED", `${this.what} was never closed; it was made at ${this.madeAt}`);
    }
  }

  /** From here on the owner is held by those who use it only. */
  watch(): void {
    if (this.#owner !== undefined) {
      this.#isWatched = true;
      forgotten.register(this.#owner, this, this);
      this.#owner = undefined;
    }
  }

  /** Those that are open, newest first. */
  static *open(): Generator<Ticket> {
    for (let ticket = newest; ticket !== undefined; ticket = ticket.#older) {
      yield ticket;
    }
  }

  #unlink(): void {
    if (this.#newer === undefined) {
      newest = this.#older;
    } else {
      this.#newer.#older = this.#older;
    }
    if (this.#older !== undefined) {
      this.#older.#newer = this.#newer;
    }
    this.#older = undefined;
    this.#newer = undefined;
  }
}

/** The head of the list that open tickets form. */
let newest: Ticket | undefined;
let young: Ticket[] = [];
let isAging = false;
let aging: NodeJS.Timeout | undefined;
const forgotten = new FinalizationRegistry<Ticket>((ticket) => ticket.forget());

function holdForAMoment(ticket: Ticket): void {
  if (young.push(ticket) === YOUNG_MAX) {
    watchYoung();
  } else if (!isAging) {
    isAging = true;
    aging = aging?.refresh() ?? setTimeout(age, YOUNG_MS).unref();
  }
}

function age(): void {
  isAging = false;
  watchYoung();
}

function watchYoung(): void {
  const grown = young;
  young = [];
  for (const ticket of grown) {
    ticket.watch();
  }
}

/** Everything that is out, oldest first. For tests and for reports at exit. */
export const openHandles = (): OpenHandle[] =>
  Array.from(Ticket.open(), ({ what, madeAt }) => ({ what, madeAt })).reverse();

function warn(code: "HANDLE_LEAKED" | "HANDLE_LOST", text: string): void {
  process.emitWarning(text, { type: "PeerbufLeak", code });
}
