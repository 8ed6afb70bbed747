/**
 * Strategy: who answers the questions of a run.
 *
 * A run asks two kinds: whose turn it is (`pick`), and everything else (`choose`: sizes, faults, whatever drivers
 * ask their `Decisions`). All answers of a run, in order, are the run.
 */
import type { Touched } from "../ground/touches.ts";
import type { Process } from "./process.ts";

/** The choice of a turn. */
export interface Turn {
  /**
   * Who may go on: first whoever had the last turn, if it may; then actors, then lanes of events; faults last. So 0 always
   * means "go on as before".
   */
  readonly candidates: readonly Process[];
  /** How many of them are no faults. At least 1. */
  readonly plainCount: number;
  /** The first candidate had the turn before. */
  readonly canContinue: boolean;
  /** Turns so far. */
  readonly index: number;
}

/** What a turn was, for who has to know which turns depend on which. */
export interface TakenTurn {
  /** The turn that it followed from; -1: none but its process's own last one. */
  readonly cause: number;
  /** Its process had to wait until something it looks at was true. */
  readonly isConditional: boolean;
  readonly touched: Touched;
}

/** The turn that somebody never got. */
export interface WaitingTurn extends TakenTurn {
  readonly id: number;
}

/** What is known once a run is over. */
export interface RunEnd {
  /** Actors that could not go on when nobody could. */
  readonly waiting: readonly WaitingTurn[];
  /** The clock had a say in what could happen next: see `GroundClock.isTimed`. */
  readonly isTimed: boolean;
}

export interface Strategy {
  readonly name: string;
  /** Called before each run; false: there is nothing left to try. */
  begin(): boolean;
  /** A place in `turn.candidates`; -1: the rest of this run is known already. */
  pick(turn: Turn): number;
  choose(count: number, label: string): number;
  /** A turn is over, and the tasks that it set free: told before the next one is chosen. Left out: nothing is recorded. */
  stepped?(process: Process, turn: TakenTurn): void;
  ended?(end: RunEnd): void;
}
