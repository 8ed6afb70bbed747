/**
 * Reduced search: one schedule of each trace, that is, of all schedules that differ only in the order of turns that commute.
 *
 * Dynamic partial-order reduction with source sets (Abdulla and others, JACM 64:4, 2017) and sleep sets: each run is searched
 * for races, each race becomes a place to come back to, and whoever sleeps there is passed over. The way to the reversed
 * race is kept and followed as long as it can be, so few runs end where everybody sleeps. Answers other than turns (faults,
 * sizes) are all tried; a fault that comes by itself is tried in every place.
 *
 * Time counts only from the first run on in which it has a say (`GroundClock.isTimed`): then everything begins anew, and
 * events depend on all that moves the clock.
 */
import { EVERYTHING, type Touched } from "../ground/touches.ts";
import { HappensBefore } from "./happens-before.ts";
import type { Process } from "./process.ts";
import { type Reversal, reversalsOf } from "./races.ts";
import { SleepSet, type Variant } from "./sleep-set.ts";
import type { RunEnd, Strategy, TakenTurn, Turn } from "./strategy.ts";

interface TurnNode {
  readonly kind: "turn";
  /** Its place in the stack. */
  readonly at: number;
  /** Ids in the order of the candidates. */
  readonly ids: readonly number[];
  readonly enabled: number;
  /** Those of them that are no faults. */
  readonly plain: number;
  readonly sleep: SleepSet;
  chosen: number;
  done: number;
  backtrack: number;
  /** What has been tried here, with all answers. */
  readonly tried: Map<number, Variant[]>;
  /** For those to come back for: whose turns follow. */
  readonly ways: Map<number, readonly number[]>;
}

interface AnswerNode {
  readonly kind: "answer";
  readonly count: number;
  value: number;
}

export class ReducedSearch implements Strategy {
  readonly name = "exhaustive";
  readonly #stack: (TurnNode | AnswerNode)[] = [];
  /** The turns of this run, in order. */
  readonly #turns: TurnNode[] = [];
  readonly #order = new HappensBefore();
  /** Answers of the turn that runs. */
  #answers = "";
  #sleepers = new SleepSet();
  /** Whose turns are to follow, the next one last. */
  #way: number[] = [];
  #at = 0;
  /** Turns before this place of the stack are those of the run before. */
  #newFrom = 0;
  #begun = false;
  /** The rest of this run is known. */
  #isKnown = false;

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
    this.#turns.length = 0;
    this.#order.clear();
    this.#answers = "";
    this.#sleepers = new SleepSet();
    this.#isKnown = false;
    return true;
  }

  pick(turn: Turn): number {
    const known = this.#stack[this.#at];
    const node = this.#isKnown ? undefined : known === undefined ? this.#newNode(turn) : known;
    if (node === undefined) {
      return -1;
    }
    this.#at++;
    this.#answers = "";
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
    const value = known?.kind === "answer" ? Math.min(known.value, count - 1) : 0;
    if (known === undefined) {
      this.#stack.push({ kind: "answer", count, value });
    }
    this.#answers += `${value} `;
    return value;
  }

  stepped({ id, kind }: Process, turn: TakenTurn): void {
    const node = this.#turns.at(-1);
    if (node === undefined) {
      return;
    }
    this.#order.add(id, turn, this.#answers);
    const { isTimed, touched } = this.#order;
    if (node.at >= this.#newFrom) {
      this.#note(node, id, touched);
      this.#comeBack(id, turn.isConditional || (isTimed && kind === "lane"), false);
    }
    this.#isKnown = node.sleep.hasVariant(id, this.#answers);
    if (this.#isKnown) {
      node.backtrack |= node.plain; // Its races will not be seen here: whoever might have come before it has to be tried.
    }
    this.#sleepers = node.sleep.after(id, touched, node.tried);
  }

  /** Those who never had their turn have raced as well: the run might have been another if they had. */
  ended({ waiting, isTimed }: RunEnd): void {
    for (const turn of waiting) {
      this.#order.add(turn.id, turn, "");
      this.#comeBack(turn.id, true, true);
      this.#order.forget();
    }
    if (!this.#isKnown) {
      this.#raceWithFaults();
    }
    if (isTimed && !this.#order.isTimed) {
      this.#order.isTimed = true;
      this.#stack.length = 0;
      this.#begun = false;
    }
  }

  /** A fault might have come at the very end, where no turn is given any more, and so before whatever commutes with the rest. */
  #raceWithFaults(): void {
    const last = this.#turns.at(-1);
    const fault = last?.ids.find((id) => (last.plain & (1 << id)) === 0);
    if (fault !== undefined && fault !== last?.chosen) {
      const touched = EVERYTHING;
      this.#order.add(fault, { cause: -1, isConditional: false, touched }, "");
      this.#comeBack(fault, false, false);
      this.#order.forget();
    }
  }

  #note(node: TurnNode, id: number, touched: Touched): void {
    const tried = node.tried.get(id);
    const variant = { answers: this.#answers, touched };
    if (tried === undefined) {
      node.tried.set(id, [variant]);
    } else {
      tried.push(variant);
    }
  }

  /** The last place with something left to try becomes the end of the stack. */
  #turnBack(): boolean {
    for (let node = this.#stack.at(-1); node !== undefined; node = this.#stack.at(-1)) {
      if (node.kind === "answer" ? ++node.value < node.count : this.#nextOf(node)) {
        this.#newFrom = this.#stack.findLastIndex(({ kind }) => kind === "turn");
        return true;
      }
      this.#stack.pop();
    }
    return false;
  }

  #nextOf(node: TurnNode): boolean {
    const left = node.backtrack & ~node.done;
    const next = node.ids.find((id) => (left & (1 << id)) !== 0 && !node.sleep.has(id));
    if (next === undefined) {
      return false;
    }
    node.chosen = next;
    node.done |= 1 << next;
    this.#way = [...(node.ways.get(next) ?? [])].reverse();
    this.#way.pop();
    return true;
  }

  #newNode(turn: Turn): TurnNode | undefined {
    const ids = turn.candidates.map(({ id }) => id);
    const plain = ids.slice(0, turn.plainCount);
    const sleep = this.#sleepers;
    // The plain ones come first; a fault is tried in every place, also where all others sleep.
    const chosen = this.#nextOnWay(ids, sleep) ?? ids.find((id) => !sleep.has(id));
    if (chosen === undefined) {
      return undefined;
    }
    const node: TurnNode = {
      kind: "turn",
      at: this.#stack.length,
      ids,
      enabled: bitsOf(ids),
      plain: bitsOf(plain),
      sleep,
      chosen,
      done: 1 << chosen,
      backtrack: (1 << chosen) | bitsOf(ids.slice(turn.plainCount)),
      tried: new Map(),
      ways: new Map(),
    };
    this.#stack.push(node);
    return node;
  }

  /** A way that cannot be followed is given up: another run will find what it was to show. */
  #nextOnWay(ids: readonly number[], sleep: SleepSet): number | undefined {
    const next = this.#way.pop();
    if (next === undefined || !ids.includes(next) || sleep.has(next)) {
      this.#way.length = 0;
      return undefined;
    }
    return next;
  }

  #comeBack(id: number, mayWait: boolean, isPending: boolean): void {
    const couldRun = (turn: number): boolean =>
      ((this.#turns[turn] as TurnNode).enabled & (1 << id)) !== 0;
    for (const reversal of reversalsOf(this.#order, { mayWait, isPending, couldRun })) {
      this.#demand(reversal);
    }
  }

  #demand({ turn, ids, initials }: Reversal): void {
    const node = this.#turns[turn] as TurnNode;
    const isSeen = (id: number): boolean =>
      (node.backtrack & (1 << id)) !== 0 || node.sleep.has(id);
    if (initials.some(isSeen)) {
      return;
    }
    const first = initials.findLast((id) => (node.enabled & (1 << id)) !== 0);
    if (first === undefined) {
      node.backtrack |= node.plain;
    } else {
      node.backtrack |= 1 << first;
      node.ways.set(first, [first, ...without(ids, first)]);
    }
  }
}

/** Without the first turn of this process. */
function without(ids: readonly number[], id: number): readonly number[] {
  const at = ids.indexOf(id);
  return [...ids.slice(0, at), ...ids.slice(at + 1)];
}

const bitsOf = (ids: readonly number[]): number => ids.reduce((bits, id) => bits | (1 << id), 0);
