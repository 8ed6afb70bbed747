/**
 * Exhaustive: every schedule, depth first; or with reduction only what differs.
 *
 * Without a bound on preemptions reduction is `ReducedSearch`. With one it is this search, which gives a run up where the
 * trace so far, whoever may go on, and the preemptions left are what they were before: the rest is known
 * (Musuvathi, Qadeer, MSR-TR-2007-12). It sees what a plain search within the bound sees.
 */
import { HappensBefore } from "./happens-before.ts";
import type { Process } from "./process.ts";
import { ReducedSearch } from "./reduced-search.ts";
import type { RunEnd, Strategy, TakenTurn, Turn } from "./strategy.ts";

export interface ExhaustiveOptions {
  /** Default `true`. */
  readonly reduction?: boolean;
  /** Turns taken away from somebody who could have gone on, at most; default no limit. */
  readonly preemptionsMax?: number;
}

export function exhaustiveSearch({
  reduction = true,
  preemptionsMax,
}: ExhaustiveOptions): Strategy {
  return reduction && preemptionsMax === undefined
    ? new ReducedSearch()
    : new PlainSearch(reduction, preemptionsMax ?? Number.POSITIVE_INFINITY);
}

interface TurnNode {
  readonly kind: "turn";
  /** Who may be given this turn without passing the bound, in the order of the candidates. */
  readonly allowed: readonly number[];
  /** Who could have gone on; -1: nobody. */
  readonly current: number;
  readonly preemptions: number;
  /** Of `allowed`. */
  place: number;
}

interface AnswerNode {
  readonly kind: "answer";
  readonly count: number;
  value: number;
}

export class PlainSearch implements Strategy {
  readonly name: string;
  readonly #preemptionsMax: number;
  readonly #stack: (TurnNode | AnswerNode)[] = [];
  readonly #order = new HappensBefore();
  /** Where runs have been: the fewest preemptions on the way there. Undefined: every schedule counts. */
  readonly #known: Map<string, number> | undefined;
  #before: TurnNode | undefined;
  #answers = "";
  #at = 0;
  #begun = false;

  constructor(isReduced: boolean, preemptionsMax: number) {
    this.#known = isReduced ? new Map() : undefined;
    this.#preemptionsMax = preemptionsMax;
    this.name = isReduced ? "exhaustive" : "exhaustive-plain";
  }

  /** The trace of this run. */
  get trace(): number {
    return this.#order.key;
  }

  begin(): boolean {
    if (this.#begun && !this.#turnBack()) {
      return false;
    }
    this.#begun = true;
    this.#at = 0;
    this.#before = undefined;
    this.#order.clear();
    this.#answers = "";
    return true;
  }

  pick(turn: Turn): number {
    const known = this.#stack[this.#at];
    const node = known === undefined ? this.#newNode(turn) : known;
    if (node === undefined) {
      return -1;
    }
    this.#at++;
    this.#answers = "";
    if (node.kind === "answer") {
      return 0; // Not the run it was: the explorer finds out by doing runs twice.
    }
    this.#before = node;
    const chosen = node.allowed[node.place];
    return Math.max(
      0,
      turn.candidates.findIndex(({ id }) => id === chosen),
    );
  }

  choose(count: number): number {
    const known = this.#stack[this.#at++];
    const value = known?.kind === "answer" ? Math.min(known.value, count - 1) : 0;
    if (known === undefined) {
      this.#stack.push({ kind: "answer", count, value });
    }
    this.#answers += `${value} `;
    return value;
  }

  stepped({ id }: Process, turn: TakenTurn): void {
    this.#order.add(id, turn, this.#answers);
  }

  ended({ isTimed }: RunEnd): void {
    if (isTimed && this.#known !== undefined && !this.#order.isTimed) {
      this.#order.isTimed = true;
      this.#known.clear();
      this.#stack.length = 0;
      this.#begun = false;
    }
  }

  #turnBack(): boolean {
    for (let node = this.#stack.at(-1); node !== undefined; node = this.#stack.at(-1)) {
      if (node.kind === "answer" ? ++node.value < node.count : ++node.place < node.allowed.length) {
        return true;
      }
      this.#stack.pop();
    }
    return false;
  }

  #newNode(turn: Turn): TurnNode | undefined {
    const ids = turn.candidates.map(({ id }) => id);
    const current = turn.canContinue ? (ids[0] as number) : -1;
    const before = this.#before;
    const preemptions = before === undefined ? 0 : before.preemptions + costOf(before);
    if (this.#isKnown(current, preemptions)) {
      return undefined;
    }
    const mayPreempt = preemptions < this.#preemptionsMax;
    const allowed = current >= 0 && !mayPreempt ? [current] : ids;
    const node: TurnNode = { kind: "turn", allowed, current, preemptions, place: 0 };
    this.#stack.push(node);
    return node;
  }

  #isKnown(current: number, preemptions: number): boolean {
    const known = this.#known;
    if (known === undefined) {
      return false;
    }
    const state = `${this.#order.key} ${current}`;
    const least = known.get(state) ?? Number.POSITIVE_INFINITY;
    if (least <= preemptions) {
      return true;
    }
    known.set(state, preemptions);
    return false;
  }
}

/** The next turn goes to somebody else although its owner could have gone on. */
const costOf = ({ current, allowed, place }: TurnNode): number =>
  current >= 0 && current !== allowed[place] ? 1 : 0;
