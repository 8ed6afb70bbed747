/**
 * Transitions: which steps of the protocol a campaign has seen, and which of them in a row.
 *
 * A step is counted together with the one before it on the same buffer: `move, unmap` (an importer lets go of a
 * mapping that a move made stale) is another thing than `map, unmap`. One flat table, so counting costs an addition.
 */

/** Everything that can happen to a shared buffer. `allocate` is always the first, `release` the last. */
export const TRANSITIONS = [
  "allocate",
  "attach",
  "attach refused",
  "pin",
  "unpin",
  "place",
  "place refused",
  "map",
  "unmap",
  "move",
  "move refused",
  "revoke",
  "restore",
  "copy out",
  "copy back",
  "cpu begin",
  "cpu end",
  "detach",
  "release",
] as const;

export type Transition = (typeof TRANSITIONS)[number];

const COUNT = TRANSITIONS.length;
const NUMBER = new Map(TRANSITIONS.map((name, index) => [name, index]));

export const transitionNumber = (name: Transition): number => NUMBER.get(name) as number;

/** Counts of a campaign; merging those of its parts gives those of the whole. */
export class TransitionCounts {
  /** Row: the step before; column: the step. */
  readonly table: Float64Array;

  constructor(table: Float64Array = new Float64Array(COUNT * COUNT)) {
    this.table = table;
  }

  /** Both by number. */
  count(before: number, now: number): void {
    const at = before * COUNT + now;
    this.table[at] = (this.table[at] as number) + 1;
  }

  add(other: TransitionCounts): void {
    for (let at = 0; at < this.table.length; at++) {
      this.table[at] = (this.table[at] as number) + (other.table[at] as number);
    }
  }

  /** How often each step was seen; steps that were not seen have 0. */
  steps(): { name: Transition; count: number }[] {
    return TRANSITIONS.map((name, now) => {
      let count = 0;
      for (let before = 0; before < COUNT; before++) {
        count += this.table[before * COUNT + now] as number;
      }
      return { name, count };
    });
  }

  /** The pairs that were seen, most frequent first. */
  pairs(): { before: Transition; now: Transition; count: number }[] {
    const pairs: { before: Transition; now: Transition; count: number }[] = [];
    for (let at = 0; at < this.table.length; at++) {
      const count = this.table[at] as number;
      if (count > 0) {
        const before = TRANSITIONS[Math.floor(at / COUNT)] as Transition;
        pairs.push({ before, now: TRANSITIONS[at % COUNT] as Transition, count });
      }
    }
    return pairs.sort((one, other) => other.count - one.count);
  }
}
