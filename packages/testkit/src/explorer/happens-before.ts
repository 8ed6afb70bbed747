/**
 * Happens-before: which turns of a run had to come before which, by vector clocks.
 *
 * A turn follows the one before it of the same process, the one that set it going (scheduled its event, settled its promise),
 * and every earlier turn that it clashes with. Runs with the same turns and the same order between them are one
 * trace (Mazurkiewicz): they end alike, and `key` is the same for them.
 */
import { clash, EVERYTHING, kindsOf, subjectOf, TIME, type Touched } from "../ground/touches.ts";
import type { TakenTurn } from "./strategy.ts";

/** Ids of processes are below this. */
const IDS = 31;

export class HappensBefore {
  /** Does time count? As long as it has no say in a run (`GroundClock.isTimed`), all turns commute in it. */
  isTimed = false;
  readonly #ids: number[] = [];
  readonly #touched: Touched[] = [];
  /** Of each turn: how many turns of each process had come before it or were itself. */
  readonly #clocks: Int16Array[] = [];
  /** The same, leaving out what it only clashes with. */
  readonly #bounds: Int16Array[] = [];
  /** Of each turn: which of its process it is, counted from 1. */
  readonly #ordinals: number[] = [];
  /** The latest turn of each process. */
  readonly #latest = new Int16Array(IDS).fill(-1);
  /** How the newest turn touched each subject. */
  readonly #kinds: number[] = [];
  #low = 0;
  #high = 0;
  /** Before the newest turn. */
  #lowBefore = 0;
  #highBefore = 0;

  get length(): number {
    return this.#ids.length;
  }

  /** The trace so far: a sum of 53 bits over its turns, in whatever order they came. */
  get key(): number {
    return (this.#high >>> 0) * 2 ** 21 + (this.#low >>> 11);
  }

  clear(): void {
    this.#mark(this.#ids.length - 1, false);
    this.#ids.length = 0;
    this.#touched.length = 0;
    this.#clocks.length = 0;
    this.#bounds.length = 0;
    this.#ordinals.length = 0;
    this.#latest.fill(-1);
    this.#low = 0;
    this.#high = 0;
  }

  /** What the newest turn touched, as far as it counts. */
  get touched(): Touched {
    return this.#touched.at(-1) ?? EVERYTHING;
  }

  idOf(turn: number): number {
    return this.#ids[turn] as number;
  }

  /** The turn of the same process before the newest one; none: -1. */
  before(turn: number): number {
    return turn === 0 ? -1 : this.#ids.lastIndexOf(this.idOf(turn), turn - 1);
  }

  /** Had `one` to come before `other`, which came later? */
  isBefore(one: number, other: number): boolean {
    return this.#has(this.#clocks[other], one);
  }

  /** Was this turn bound to come before the newest one, whatever that touches? */
  isBound(turn: number): boolean {
    return this.#has(this.#bounds.at(-1), turn);
  }

  /** Does this turn clash with the newest one? */
  clashes(turn: number): boolean {
    const touched = this.#touched[turn] as Touched;
    const newest = this.#touched.at(-1);
    if (touched === EVERYTHING || newest === EVERYTHING) {
      return true;
    }
    for (let at = 0; at < touched.length; at++) {
      const touch = touched[at] as number;
      if (clash(kindsOf(touch), this.#kinds[subjectOf(touch)] ?? 0)) {
        return true;
      }
    }
    return false;
  }

  /** The turn has been taken. `variant`: what else it depended on, such as answers. */
  add(id: number, { cause, touched: all }: TakenTurn, variant: string): void {
    const turn = this.#ids.length;
    const touched = this.isTimed ? all : timeless(all);
    this.#mark(turn - 1, false);
    const bound = new Int16Array(IDS);
    join(bound, this.#clocks[this.#latest[id] as number]);
    join(bound, this.#clocks[cause]);
    this.#ids.push(id);
    this.#touched.push(touched);
    this.#bounds.push(bound);
    this.#mark(turn, true);
    const clock = bound.slice();
    for (let earlier = 0; earlier < turn; earlier++) {
      if (this.clashes(earlier)) {
        join(clock, this.#clocks[earlier]);
      }
    }
    const ordinal = (clock[id] as number) + 1;
    clock[id] = ordinal;
    this.#ordinals.push(ordinal);
    this.#clocks.push(clock);
    this.#latest[id] = turn;
    this.#lowBefore = this.#low;
    this.#highBefore = this.#high;
    this.#mix(id, clock, variant);
  }

  /** The newest turn, which nobody has taken, was only to be looked at. */
  forget(): void {
    const turn = this.#ids.length - 1;
    this.#mark(turn, false);
    this.#latest[this.idOf(turn)] = this.before(turn);
    this.#ids.length = turn;
    this.#touched.length = turn;
    this.#clocks.length = turn;
    this.#bounds.length = turn;
    this.#ordinals.length = turn;
    this.#low = this.#lowBefore;
    this.#high = this.#highBefore;
  }

  #has(clock: Int16Array | undefined, turn: number): boolean {
    return ((clock?.[this.idOf(turn)] as number) ?? 0) >= (this.#ordinals[turn] as number);
  }

  #mark(turn: number, isOn: boolean): void {
    const touched = this.#touched[turn];
    if (touched === undefined || touched === EVERYTHING) {
      return;
    }
    for (const touch of touched) {
      this.#kinds[subjectOf(touch)] = isOn ? kindsOf(touch) : 0;
    }
  }

  /** FNV-1a of the turn twice, added to the sums: where it stands in the trace is in its clock. */
  #mix(id: number, clock: Int16Array, variant: string): void {
    let low = Math.imul(0x811c_9dc5 ^ id, PRIME);
    let high = Math.imul(0x6c62_272e ^ id, PRIME);
    for (let other = 0; other < IDS; other++) {
      const count = clock[other] as number;
      low = Math.imul(low ^ count, PRIME);
      high = Math.imul(high ^ (count + other), PRIME);
    }
    for (let at = 0; at < variant.length; at++) {
      low = Math.imul(low ^ variant.charCodeAt(at), PRIME);
      high = Math.imul(high ^ (variant.charCodeAt(at) + at), PRIME);
    }
    this.#low = (this.#low + scrambled(low)) | 0;
    this.#high = (this.#high + scrambled(high)) | 0;
  }
}

const PRIME = 0x0100_0193;

/** Sums of plain FNV hashes of like turns would be alike. */
function scrambled(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  return Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35) ^ (mixed >>> 16);
}

function timeless(touched: Touched): Touched {
  return touched === EVERYTHING ? touched : touched.filter((touch) => subjectOf(touch) !== TIME);
}

function join(clock: Int16Array, other: Int16Array | undefined): void {
  if (other === undefined) {
    return;
  }
  for (let id = 0; id < IDS; id++) {
    if ((other[id] as number) > (clock[id] as number)) {
      clock[id] = other[id] as number;
    }
  }
}

/** Do two turns of different processes depend on their order? */
export function clashing(one: Touched, other: Touched): boolean {
  if (one === EVERYTHING || other === EVERYTHING) {
    return true;
  }
  for (const touch of one) {
    for (const against of other) {
      if (subjectOf(touch) === subjectOf(against) && clash(kindsOf(touch), kindsOf(against))) {
        return true;
      }
    }
  }
  return false;
}
