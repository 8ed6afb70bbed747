/**
 * Move book: the moves of an exporter's buffers, held against what its engine really copies.
 *
 * An engine tells what it copies from where; a move tells which work it has to wait for and which fence says that
 * the bytes have arrived. Exporters that copy by the CPU are judged by their fences alone.
 */
import type { Fence, PhysicalRanges } from "@peerbuf/core";
import { rangesOverlap } from "./host-ledger.ts";
import type { ViolationLog } from "./violation.ts";

interface Move {
  readonly subject: string;
  /** The place that is left. */
  readonly left: PhysicalRanges;
  /** The last work on it. */
  readonly after: Fence;
  /** Says that the bytes have arrived; unknown while the exporter still makes it. */
  arrived: Fence | undefined;
  running: number;
  hasCopied: boolean;
}

export class MoveBook {
  readonly #log: ViolationLog;
  /** By buffer; the latest move of each, until its bytes have arrived. */
  readonly #moves = new Map<string, Move>();

  constructor(log: ViolationLog) {
    this.#log = log;
  }

  /** The exporter is about to begin the copy. Nobody knows what it leaves if nobody was placed there. */
  begun(subject: string, left: PhysicalRanges | undefined, after: Fence): void {
    this.#moves.delete(subject);
    if (left !== undefined) {
      const state = { arrived: undefined, running: 0, hasCopied: false };
      this.#moves.set(subject, { subject, left, after, ...state });
    }
  }

  /** It has begun it, and this fence says when it is over. */
  answered(subject: string, arrived: Fence): void {
    const move = this.#moves.get(subject);
    if (move === undefined) {
      return;
    }
    move.arrived = arrived;
    const judge = (): void => this.#arrivedNow(move);
    if (arrived.addCallback(judge, "checker") === "signaled") {
      judge();
    }
  }

  /** Another buffer begins, perhaps in the place that was left. */
  forgetArrived(): void {
    for (const [subject, { arrived, after }] of this.#moves) {
      if (arrived?.isSignaled === true && after.isSignaled) {
        this.#moves.delete(subject);
      }
    }
  }

  released(subject: string): void {
    this.#moves.delete(subject);
  }

  /** The engine begins to copy from here; `ended` when it is done. */
  copies(from: PhysicalRanges): { ended(): void } {
    const move = [...this.#moves.values()].find(({ left }) => rangesOverlap(left, from));
    if (move === undefined) {
      return NOTHING;
    }
    if (!move.after.isSignaled) {
      this.#report(move, "its copy begins before the last work on the old place is over");
    } else if (move.arrived?.isSignaled === true) {
      this.#report(move, "the fence of its move has signaled, and only now its copy begins");
    }
    move.running++;
    move.hasCopied = true;
    return { ended: () => void move.running-- };
  }

  #arrivedNow(move: Move): void {
    if (move.running > 0) {
      this.#report(move, "the fence of its move signals while the engine still copies");
    }
    if (move.hasCopied && this.#moves.get(move.subject) === move) {
      this.#moves.delete(move.subject);
    }
  }

  #report({ subject }: Move, text: string): void {
    this.#log.report("EXP-019", subject, text);
  }
}

const NOTHING = { ended() {} };
