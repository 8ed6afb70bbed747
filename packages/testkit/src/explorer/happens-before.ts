/**
 * Happens-before: which turns of a run had to come before which, by vector clocks.
 *
 * A turn follows the one before it of the same process, the one that scheduled its event, and every earlier turn
 * that it does not commute with.
 */

const IDS = 31;

export class HappensBefore {
  readonly #ids: number[] = [];
  readonly #reads: number[] = [];
  readonly #writes: number[] = [];
  /** Of each turn: the latest turn of each process that had to come before it. */
  readonly #clocks: Int16Array[] = [];
  /** The latest turn of each process. */
  readonly #latest = new Int16Array(IDS).fill(-1);
  /** Of the turn that is being looked at. */
  readonly #known = new Int16Array(IDS);

  get length(): number {
    return this.#ids.length;
  }

  clear(): void {
    this.#ids.length = 0;
    this.#reads.length = 0;
    this.#writes.length = 0;
    this.#clocks.length = 0;
    this.#latest.fill(-1);
  }

  /** Looks at the next turn of a process: what is bound to come before it, whatever it touches. */
  begin(id: number, cause: number): void {
    this.#known.fill(-1);
    this.#join(this.#latest[id] as number);
    this.#join(cause);
  }

  /** Was this turn bound to come first? */
  isBefore(turn: number): boolean {
    return (this.#known[this.#ids[turn] as number] as number) >= turn;
  }

  commutes(turn: number, reads: number, writes: number): boolean {
    const otherWrites = this.#writes[turn] as number;
    const other = otherWrites | (this.#reads[turn] as number);
    return (writes & other) === 0 && (otherWrites & reads) === 0;
  }

  /** The turn has been taken. */
  add(id: number, cause: number, reads: number, writes: number): void {
    const turn = this.#ids.length;
    this.begin(id, cause);
    for (let earlier = 0; earlier < turn; earlier++) {
      if (!this.commutes(earlier, reads, writes)) {
        this.#join(earlier);
      }
    }
    this.#known[id] = turn;
    this.#clocks.push(this.#known.slice());
    this.#ids.push(id);
    this.#reads.push(reads);
    this.#writes.push(writes);
    this.#latest[id] = turn;
  }

  #join(turn: number): void {
    const clock = this.#clocks[turn];
    if (clock === undefined) {
      return;
    }
    for (let id = 0; id < IDS; id++) {
      this.#known[id] = Math.max(this.#known[id] as number, clock[id] as number);
    }
  }
}
