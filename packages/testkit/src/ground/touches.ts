/**
 * Touches: what one turn has looked at, added to and changed.
 *
 * Subjects are as small as they can be told apart: the place of a buffer, its attachments, its mappings, one level of its
 * reservation, its lock, a fence, a piece of memory, a lane, a driver. To add commutes with to add (two attachments of one
 * buffer), not with to read (who asks for all of them). That is all that partial-order reduction has to know:
 * two turns commute unless one changed what the other touched, or added to what the other read.
 *
 * Off unless a strategy listens: then whoever records returns at once.
 */

/** Subject times 8 plus how it was touched. */
export type Touched = Int32Array;

/** The turn may have touched anything. */
export const EVERYTHING: Touched = Int32Array.of(-1);

export const READ = 1;
export const ADD = 2;
export const WRITE = 4;
const KINDS = 8;

/** The subject of time itself: see `GroundClock.isTimed`. */
export const TIME = 0;

export class Touches {
  /** Somebody wants to know. Else whoever would have to look up a subject need not. */
  isHeard = true;
  /** A turn is under way. */
  isOn = false;
  readonly #numbers: Map<string, number>;
  /** How each subject was touched in this turn, by number. */
  readonly #kinds: number[] = [];
  readonly #touched: number[] = [];
  /** Locks that were taken in this turn, and are still held. */
  readonly #taken: number[] = [];
  #isEverything = false;

  /** `numbers`: those of the worlds before. Who compares touches of several runs needs the same in all. */
  constructor(numbers: Map<string, number> = new Map()) {
    this.#numbers = numbers;
    this.subject("time");
  }

  /** The number of a subject; the same name is the same subject, in all runs of a campaign. */
  subject(name: string): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#numbers.size;
      this.#numbers.set(name, number);
    }
    return number;
  }

  read(subject: number): void {
    this.touch(subject, READ);
  }

  /** Changes it in a way that commutes with other additions: nobody who only adds can tell the order. */
  add(subject: number): void {
    this.touch(subject, ADD);
  }

  write(subject: number): void {
    this.touch(subject, WRITE);
  }

  /** Takes it: to be seen taken by others, unless it is given back in this turn. */
  take(subject: number): void {
    this.touch(subject, READ);
    this.#taken.push(subject);
  }

  giveBack(subject: number): void {
    const at = this.#taken.indexOf(subject);
    if (at < 0) {
      this.touch(subject, WRITE);
    } else {
      this.#taken.splice(at, 1);
    }
  }

  everything(): void {
    this.#isEverything = true;
  }

  clear(): void {
    for (const subject of this.#touched) {
      this.#kinds[subject] = 0;
    }
    this.#touched.length = 0;
    this.#taken.length = 0;
    this.#isEverything = false;
  }

  /** All since `clear`. */
  all(): Touched {
    if (this.#isEverything) {
      return EVERYTHING;
    }
    for (const subject of this.#taken) {
      this.#kinds[subject] = READ | WRITE;
    }
    const all = new Int32Array(this.#touched.length);
    this.#touched.forEach((subject, at) => {
      all[at] = subject * KINDS + (this.#kinds[subject] as number);
    });
    return all;
  }

  /** `kind`: READ, ADD, WRITE, some of them, or 0. */
  touch(subject: number, kind: number): void {
    if (!this.isOn || kind === 0) {
      return;
    }
    const before = this.#kinds[subject] ?? 0;
    if (before === 0) {
      this.#touched.push(subject);
    }
    this.#kinds[subject] = before | kind;
  }
}

export const subjectOf = (touch: number): number => Math.floor(touch / KINDS);
export const kindsOf = (touch: number): number => touch % KINDS;

/** Do two ways to touch one subject depend on their order? */
export const clash = (one: number, other: number): boolean =>
  ((one | other) & WRITE) !== 0
    ? one !== 0 && other !== 0
    : (one & READ) !== 0
      ? (other & ADD) !== 0
      : (one & ADD) !== 0 && (other & READ) !== 0;
