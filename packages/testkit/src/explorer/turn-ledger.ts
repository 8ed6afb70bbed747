/**
 * Turn ledger: tells a strategy what each turn of a run touched and what it followed from.
 *
 * A turn is over when all tasks have run that it set free: what they touched, it touched. Made only for strategies that
 * listen.
 */
import type { World } from "../ground/world.ts";
import type { Process } from "./process.ts";
import type { Scenario } from "./scenario.ts";
import type { Strategy, WaitingTurn } from "./strategy.ts";

interface OpenTurn {
  readonly process: Process;
  readonly cause: number;
  readonly isConditional: boolean;
}

export class TurnLedger {
  readonly #world: World;
  readonly #strategy: Strategy;
  readonly #isTracked: boolean | undefined;
  readonly #waiting: WaitingTurn[] = [];
  #turn: OpenTurn | undefined;
  /** As it was when the faults were over. */
  #isTimed: boolean | undefined;

  constructor(world: World, strategy: Strategy, { isTracked }: Scenario) {
    this.#world = world;
    this.#strategy = strategy;
    // What goes on in a ground of another kind, such as a modelled machine, nobody notes.
    this.#isTracked = isTracked ?? (world.ground === undefined ? undefined : false);
  }

  begin(process: Process): void {
    this.#turn = this.#opened(process);
  }

  /** Before the next turn is chosen, and at the end. */
  close(usesPromises: boolean): void {
    const turn = this.#turn;
    if (turn === undefined) {
      return;
    }
    const { touches } = this.#world;
    touches.isOn = false;
    this.#turn = undefined;
    if (!(this.#isTracked ?? !usesPromises)) {
      touches.everything(); // What goes on after an `await` nobody can tell from anything else.
    }
    this.#strategy.stepped?.(turn.process, { ...turn, touched: touches.all() });
  }

  /** Nobody goes on as before: what would have let those go on who cannot is what they wait for. */
  noteWaiting(actors: readonly Process[]): void {
    const { touches, clock } = this.#world;
    this.#isTimed = clock.isTimed;
    for (const process of actors) {
      if (!process.isFinished && !process.isReady(Number.POSITIVE_INFINITY)) {
        const turn = this.#opened(process);
        touches.isOn = false;
        this.#waiting.push({ id: process.id, ...turn, touched: touches.all() });
      }
    }
  }

  end(): void {
    const isTimed = this.#isTimed ?? this.#world.clock.isTimed;
    this.#strategy.ended?.({ waiting: this.#waiting, isTimed });
  }

  #opened(process: Process): OpenTurn {
    const { touches } = this.#world;
    const { cause, isConditional } = process;
    touches.clear();
    touches.isOn = true;
    process.declare(touches);
    return { process, cause, isConditional };
  }
}
