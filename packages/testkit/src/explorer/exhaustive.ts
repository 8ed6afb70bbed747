/**
 * Exhaustive: every schedule once, depth first; with reduction only one of those that differ in the order of steps
 * that commute.
 *
 * Reduction is dynamic partial-order reduction (Flanagan, Godefroid, POPL 2005): after each turn the
 * latest earlier turn that does not commute with it, and was not bound to come first, becomes a place to come back to.
 * What commutes is known from what turns touched (see `touches.ts`). With a bound on preemptions, places are also
 * added at the last change of turns before (Coons, Musuvathi, McKinley, OOPSLA 2013).
 *
 * Answers other than turns (faults, sizes) are all tried.
 */
import { HappensBefore } from "./happens-before.ts";
import type { Process } from "./process.ts";
import type { RunEnd, Strategy, Turn } from "./strategy.ts";

export interface ExhaustiveOptions {
  /** Default `true`. */
  readonly reduction?: boolean;
  /** Turns taken away from somebody who could have gone on, at most; default no limit. */
  readonly preemptionsMax?: number;
}

interface TurnNode {
  readonly kind: "turn";
  /** Ids in the order of the candidates. */
  readonly ids: readonly number[];
  readonly enabled: number;
  /** Who may be given this turn without passing the bound. */
  readonly allowed: number;
  /** Who could have gone on; -1: nobody. */
  readonly current: number;
  readonly preemptions: number;
  chosen: number;
  done: number;
  backtrack: number;
}

interface AnswerNode {
  readonly kind: "answer";
  readonly count: number;
  value: number;
}

export class Exhaustive implements Strategy {
  readonly name: string;
  readonly #isReduced: boolean;
  readonly #preemptionsMax: number;
  readonly #stack: (TurnNode | AnswerNode)[] = [];
  /** The turns of this run, in order. */
  readonly #turns: TurnNode[] = [];
  readonly #order = new HappensBefore();
  #at = 0;
  #begun = false;

  constructor(options: ExhaustiveOptions = {}) {
    this.#isReduced = options.reduction ?? true;
    this.#preemptionsMax = options.preemptionsMax ?? Number.POSITIVE_INFINITY;
    this.name = this.#isReduced ? "exhaustive" : "exhaustive-plain";
  }

  begin(): boolean {
    if (this.#begun && !this.#turnBack()) {
      return false;
    }
    this.#begun = true;
    this.#at = 0;
    this.#turns.length = 0;
    this.#order.clear();
    return true;
  }

  pick(turn: Turn): number {
    const known = this.#stack[this.#at];
    const node = known === undefined ? this.#newNode(turn) : known;
    if (node === undefined) {
      return -1;
    }
    this.#at++;
    if (node.kind === "answer") {
      return 0; // Not the run it was: the explorer finds out by doing runs twice.
    }
    this.#turns.push(node);
    return Math.max(
      0,
      turn.candidates.findIndex(({ id }) => id === node.chosen),
    );
  }

  choose(count: number): number {
    const known = this.#stack[this.#at++];
    if (known?.kind === "answer") {
      return Math.min(known.value, count - 1);
    }
    if (known === undefined) {
      this.#stack.push({ kind: "answer", count, value: 0 });
    }
    return 0;
  }

  stepped({ id }: Process, cause: number, reads: number, writes: number): void {
    if (!this.#isReduced) {
      return;
    }
    this.#findRace(id, cause, reads, writes);
    this.#order.add(id, cause, reads, writes);
  }

  /** Those who never had their turn have raced as well: the run might have been another if they had. */
  ended({ stuck }: RunEnd): void {
    if (this.#isReduced) {
      for (const { id, cause, declared } of stuck) {
        this.#findRace(id, cause, 0, declared);
      }
    }
  }

  /** The last place with something left to try becomes the end of the stack. */
  #turnBack(): boolean {
    for (let node = this.#stack.at(-1); node !== undefined; node = this.#stack.at(-1)) {
      if (node.kind === "answer" ? ++node.value < node.count : this.#nextOf(node)) {
        return true;
      }
      this.#stack.pop();
    }
    return false;
  }

  #nextOf(node: TurnNode): boolean {
    const left = node.backtrack & node.allowed & ~node.done;
    const next = node.ids.find((id) => (left & (1 << id)) !== 0);
    if (next === undefined) {
      return false;
    }
    node.chosen = next;
    node.done |= 1 << next;
    return true;
  }

  #newNode(turn: Turn): TurnNode | undefined {
    const ids = turn.candidates.map(({ id }) => id);
    const before = this.#turns.at(-1);
    const current = turn.canContinue ? (ids[0] as number) : -1;
    const preemptions = before === undefined ? 0 : before.preemptions + costOf(before);
    const mayPreempt = preemptions < this.#preemptionsMax;
    const enabled = bitsOf(ids);
    const allowed = current >= 0 && !mayPreempt ? 1 << current : enabled;
    const plain = ids.slice(0, turn.plainCount);
    const chosen = plain.find((id) => (allowed & (1 << id)) !== 0);
    if (chosen === undefined) {
      return undefined;
    }
    const node: TurnNode = {
      kind: "turn",
      ids,
      enabled,
      allowed,
      current,
      preemptions,
      chosen,
      done: 1 << chosen,
      // A fault commutes with nothing and needs no turn: it is tried in every place where it may happen.
      backtrack: this.#isReduced ? (1 << chosen) | bitsOf(ids.slice(turn.plainCount)) : enabled,
    };
    this.#stack.push(node);
    return node;
  }

  /** Finds the latest earlier turn that might as well have come after this one, and has it tried. */
  #findRace(id: number, cause: number, reads: number, writes: number): void {
    const turns = this.#turns;
    this.#order.begin(id, cause);
    const last = this.#order.length;
    for (let turn = last - 1; turn >= 0; turn--) {
      if (this.#order.commutes(turn, reads, writes) || this.#order.isBefore(turn)) {
        continue;
      }
      const node = turns[turn] as TurnNode;
      const isEnabled = (node.enabled & (1 << id)) !== 0;
      const wasFreed = ((turns[turn + 1]?.enabled ?? 0) & (1 << id)) !== 0;
      if (isEnabled || !wasFreed) {
        this.#comeBack(turn, isEnabled ? 1 << id : node.enabled, id);
        return;
      }
    }
  }

  #comeBack(turn: number, bits: number, id: number): void {
    const node = this.#turns[turn] as TurnNode;
    node.backtrack |= bits;
    if (this.#preemptionsMax === Number.POSITIVE_INFINITY) {
      return;
    }
    let start = turn;
    while (start > 0 && this.#turns[start - 1]?.chosen === node.chosen) {
      start--;
    }
    const first = this.#turns[start] as TurnNode;
    first.backtrack |= (first.enabled & (1 << id)) === 0 ? first.enabled : 1 << id;
  }
}

/** The next turn goes to somebody else although its owner could have gone on. */
const costOf = ({ current, chosen }: TurnNode): number =>
  current >= 0 && current !== chosen ? 1 : 0;

const bitsOf = (ids: readonly number[]): number => ids.reduce((bits, id) => bits | (1 << id), 0);
