/**
 * Strategy: who answers the questions of a run.
 *
 * A run asks two kinds: whose turn it is (`pick`), and everything else (`choose`: sizes, faults, whatever drivers
 * ask their `Decisions`). All answers of a run, in order, are the run.
 */
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

/** What is known once a run is over. */
export interface RunEnd {
  /** Actors that have not finished and never will. */
  readonly stuck: readonly Process[];
}

export interface Strategy {
  readonly name: string;
  /** Called before each run; false: there is nothing left to try. */
  begin(): boolean;
  /** A place in `turn.candidates`; -1: the rest of this run is known already. */
  pick(turn: Turn): number;
  choose(count: number, label: string): number;
  /** A turn is over: the turn it followed from (-1: none but its own last one), and what it touched. */
  stepped?(process: Process, cause: number, reads: number, writes: number): void;
  ended?(end: RunEnd): void;
}
