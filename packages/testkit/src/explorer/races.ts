/**
 * Races: which earlier turns of a run might as well have come after its newest one, and how to get there.
 *
 * Two turns race when they clash and nothing bound them to their order. What comes after the earlier one without depending on
 * it, and then the newest turn, is a run that begins in the place of the earlier one and has the two the other way
 * round (Abdulla, Aronsson, Jonsson, Sagonas, JACM 64:4, 2017: source sets).
 *
 * A turn that has to wait for something may not be possible there. It certainly is not if it was not at the earlier turn
 * and nothing that remains could have changed that; then turns still earlier are looked at, such as the one that took
 * a lock before the one that gave it back.
 */
import type { HappensBefore } from "./happens-before.ts";

export interface Reversal {
  /** The place to come back to. */
  readonly turn: number;
  /** Whose turns follow there, ending with the newest one. */
  readonly ids: readonly number[];
  /** Who may be the first of them: nothing of the rest has to come before. */
  readonly initials: readonly number[];
}

/** What the order of turns does not say of the newest one. */
export interface Newest {
  /** It had to wait for something. */
  readonly mayWait: boolean;
  /** It was not taken: what it would have touched beyond what it waits for, nobody knows. */
  readonly isPending: boolean;
  /** Could its process have had this turn instead? */
  couldRun(turn: number): boolean;
}

export function reversalsOf(order: HappensBefore, facts: Newest): Reversal[] {
  const { mayWait, isPending } = facts;
  const newest = order.length - 1;
  const before = order.before(newest);
  const found: Reversal[] = [];
  /** Races that are certain: those before them come up when they have been turned round. */
  const certain: number[] = [];
  for (let turn = newest - 1; turn >= 0; turn--) {
    if (
      !order.clashes(turn) ||
      order.isBound(turn) ||
      certain.some((later) => order.isBefore(turn, later))
    ) {
      continue;
    }
    const rest = independentOf(order, turn);
    if (!mayWait) {
      found.push(reversal(order, turn, [...rest, newest]));
      certain.push(turn);
    } else if (before < turn && facts.couldRun(turn)) {
      found.push(reversal(order, turn, [newest]));
      if (rest.length > 0) {
        found.push(reversal(order, turn, isPending ? rest : [...rest, newest]));
      }
      certain.push(turn);
    } else if (before > turn || rest.some((other) => order.clashes(other))) {
      found.push({ turn, ids: [], initials: [] });
    }
  }
  return found;
}

/** The turns between this one and the newest that do not depend on it. */
function independentOf(order: HappensBefore, turn: number): number[] {
  const rest: number[] = [];
  for (let other = turn + 1; other < order.length - 1; other++) {
    if (!order.isBefore(turn, other)) {
      rest.push(other);
    }
  }
  return rest;
}

function reversal(order: HappensBefore, turn: number, rest: readonly number[]): Reversal {
  const initials = rest.filter(
    (one, at) => !rest.slice(0, at).some((earlier) => order.isBefore(earlier, one)),
  );
  return {
    turn,
    ids: rest.map((each) => order.idOf(each)),
    initials: initials.map((each) => order.idOf(each)),
  };
}
