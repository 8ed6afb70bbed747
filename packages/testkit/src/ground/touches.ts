/**
 * Touches: what one step has looked at and changed, as two sets of bits.
 *
 * Two steps commute unless one of them changed what the other touched: that is all that partial-order
 * reduction has to know. There are 30 bits; a world with more subjects shares them, which costs
 * schedules and never hides one.
 */

/** Everything: a step of which nobody knows what it touches. */
export const EVERYTHING = 0x3fff_ffff;
const BITS = 30;

export class Touches {
  /** Somebody wants to know. Else whoever would have to look up a subject need not. */
  isHeard = true;
  reads = 0;
  writes = 0;
  readonly #subjects: Map<string, number>;

  /** `subjects`: the bits of the worlds before. Who compares touches of several runs needs the same bits in all. */
  constructor(subjects: Map<string, number> = new Map()) {
    this.#subjects = subjects;
  }

  /** The bit of a subject. */
  subject(name: string): number {
    let bit = this.#subjects.get(name);
    if (bit === undefined) {
      bit = 1 << (this.#subjects.size % BITS);
      this.#subjects.set(name, bit);
    }
    return bit;
  }

  add(subject: number, writes: boolean): void {
    if (writes) {
      this.writes |= subject;
    } else {
      this.reads |= subject;
    }
  }

  everything(): void {
    this.writes = EVERYTHING;
  }

  clear(): void {
    this.reads = 0;
    this.writes = 0;
  }
}
