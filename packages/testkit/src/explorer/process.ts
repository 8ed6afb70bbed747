/**
 * Process: whatever can be given the next turn: an actor, a lane of events, a fault that waits to happen.
 */
import type { Lane } from "../ground/ground-clock.ts";
import type { Touches } from "../ground/touches.ts";
import type { World } from "../ground/world.ts";
import type { Actor } from "./scenario.ts";
import type { Script, Step } from "./step.ts";

export interface Process {
  readonly id: number;
  readonly name: string;
  readonly kind: "actor" | "lane" | "fault";
  /** What it would do now, for people. */
  readonly label: string;
  /** It will take no more turns. A lane is never finished, only empty. */
  readonly isFinished: boolean;
  /** The step from which its next turn follows; -1: only from its own last one. */
  readonly cause: number;
  /** It waits until something is true, and may have to wait again. */
  readonly isConditional: boolean;
  isReady(horizonNs: number): boolean;
  /** Notes what its next turn touches as far as it says so itself, and what it looked at to find that it may go on. */
  declare(touches: Touches): void;
  run(): void;
}

/** Told when an actor's script throws. */
export interface Thrown {
  thrown(actor: string, error: unknown): void;
}

export class ActorProcess implements Process {
  readonly id: number;
  readonly name: string;
  readonly kind = "actor";
  readonly mayDie: boolean;
  /** Where the promise was settled that it waits for. */
  cause = -1;
  readonly #script: Script;
  readonly #world: World;
  readonly #thrown: Thrown;
  #step: Step | undefined = undefined;
  #isFinished = false;
  #isDead = false;
  /** Of the promise it waits for. */
  #settled: { ok: boolean; value: unknown } | undefined;
  #waits = false;

  constructor(id: number, actor: Actor, world: World, thrown: Thrown) {
    this.id = id;
    this.name = actor.name;
    this.mayDie = actor.mayDie ?? true;
    this.#script = actor.run();
    this.#world = world;
    this.#thrown = thrown;
    this.run(); // Up to its first `yield`, where others come in: nothing of it can be interleaved with anything.
  }

  get label(): string {
    return this.#step?.label ?? "goes on";
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** It waits for a promise: turns of others may settle it only after pending tasks have run. */
  get waitsForPromise(): boolean {
    return this.#waits && this.#settled === undefined;
  }

  get isConditional(): boolean {
    return this.#step?.until !== undefined;
  }

  declare(touches: Touches): void {
    const step = this.#step;
    if (step?.touches === undefined) {
      touches.everything();
      return;
    }
    for (const name of step.touches) {
      touches.write(touches.subject(name));
    }
    for (const name of step.reads ?? []) {
      touches.read(touches.subject(name));
    }
    step.until?.();
  }

  isReady(): boolean {
    if (this.#isFinished || this.#isDead) {
      return false;
    }
    return this.#waits ? this.#settled !== undefined : (this.#step?.until?.() ?? true);
  }

  run(): void {
    const settled = this.#settled;
    this.#settled = undefined;
    this.cause = -1;
    this.#waits = false;
    try {
      const turn =
        settled?.ok === false
          ? this.#script.throw(settled.value)
          : this.#script.next(settled?.value);
      this.#isFinished = turn.done === true;
      this.#take(turn.done === true ? undefined : turn.value);
    } catch (error) {
      this.#isFinished = true;
      this.#thrown.thrown(this.name, error);
    }
  }

  /** Stops where it stands. */
  die(): void {
    this.#isDead = true;
  }

  /** What a dead actor held is given back. */
  bury(): void {
    if (!this.#isDead || this.#isFinished) {
      return;
    }
    this.#isFinished = true;
    try {
      this.#script.return();
    } catch (error) {
      this.#thrown.thrown(this.name, error);
    }
  }

  #take(next: Step | undefined): void {
    this.#step = next;
    const promise = next?.promise;
    if (promise !== undefined) {
      this.#waits = true;
      promise.then(
        (value) => this.#settle(true, value),
        (error: unknown) => this.#settle(false, error),
      );
    }
  }

  #settle(ok: boolean, value: unknown): void {
    this.#settled = { ok, value };
    this.cause = this.#world.clock.turn;
  }
}

export class LaneProcess implements Process {
  readonly id: number;
  readonly kind = "lane";
  readonly label = "an event";
  readonly isConditional = false;
  readonly isFinished = false;
  readonly #lane: Lane;
  readonly #world: World;

  constructor(id: number, lane: Lane, world: World) {
    this.id = id;
    this.#lane = lane;
    this.#world = world;
  }

  get name(): string {
    return this.#lane.name;
  }

  get cause(): number {
    return this.#lane.firstBornAt;
  }

  isReady(horizonNs: number): boolean {
    return this.#world.clock.isReady(this.#lane, horizonNs);
  }

  declare(touches: Touches): void {
    this.#lane.declare(touches);
    this.#world.stateOf(this.#lane.device).called();
  }

  /** What a driver throws in an event of its own is reported: the run goes on without it. */
  run(): void {
    try {
      this.#lane.runFirst();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#world.report("PLT-035", `an event threw: ${text}`, this.#lane.name);
    }
  }
}
