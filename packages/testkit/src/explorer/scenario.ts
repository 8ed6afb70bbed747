/**
 * Scenario: who does what to which buffers, as far as it is fixed; decisions fill in the rest.
 *
 * Played anew for every schedule, in a world of its own: it must keep nothing from one play to the next.
 */
import type { FaultKind } from "../ground/fault-kind.ts";
import type { World } from "../ground/world.ts";
import type { WorldKind } from "../ground/world-options.ts";
import type { Script } from "./step.ts";

export interface Actor {
  readonly name: string;
  /** Runs up to its first `yield` while the world is made. */
  run(): Script;
  /** It may die where it stands, holding what it holds; its `finally` and `using` run much later. Default: yes. */
  readonly mayDie?: boolean;
}

export interface Play {
  /** At most 12. */
  readonly actors: readonly Actor[];
  /** Moves everything there is: what an eviction storm does. Left out: this scenario has no such thing. */
  storm?(): void;
  /** After everybody has finished, before the framework closes. Reports with `world.report`. */
  check?(): void;
  /** At the very end, after `check`: closes what the play opened, where the framework would call it a leak. */
  close?(): void;
}

export interface Scenario {
  /** Letters, digits, dashes and slashes: part of the token. */
  readonly name: string;
  /** One sentence. */
  readonly about?: string;
  readonly world?: ScenarioWorld;
  /** Faults that make sense in it; default all. */
  readonly faults?: readonly FaultKind[];
  /**
   * What partial-order reduction may rely on. Default: drivers and actors share nothing but what they get from the framework
   * and the world (no two instances of a driver keep common state), until a promise comes into play: from then on every
   * turn of the run counts as touching everything, as all do in a world on another ground than the light one. `true`: steps
   * declare what goes on after promises, too. `false`: they share what nobody sees, and every turn touches everything.
   */
  readonly isTracked?: boolean;
  /** Turns before the faults are over; default 400. What starts hardware needs more. */
  readonly turnsMax?: number;
  /** Turns in which everybody has to finish once the faults are over; default 4,000. */
  readonly livenessTurnsMax?: number;
  play(world: World): Play;
}

/** What a scenario says about its world; the rest comes with the run. */
export type ScenarioWorld = WorldKind;

/** Those of these faults that make sense in it. */
export const allowed = (scenario: Scenario, faults: readonly FaultKind[]): readonly FaultKind[] =>
  faults.filter((kind) => scenario.faults?.includes(kind) ?? true);
