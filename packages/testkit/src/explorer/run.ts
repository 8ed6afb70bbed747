/**
 * Run: one schedule of one scenario, from an empty world to the last handle given back.
 *
 * Two phases. Safety: the strategy gives turns, faults happen, rules are watched. Liveness: the faults are
 * over, turns go round in order, and everybody has to finish; who cannot breaks SYN-020. A run is synchronous until a
 * promise comes into play; from then on all pending tasks run before the next turn, so that promises add no order of
 * their own.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Violation } from "../checker/violation.ts";
import type { FaultKind } from "../ground/fault-kind.ts";
import type { Lane } from "../ground/ground-clock.ts";
import { pendingTasks } from "../ground/settle.ts";
import type { TransitionCounts } from "../ground/transition.ts";
import { createWorld, type World } from "../ground/world.ts";
import type { RunChecker, StoryLine } from "../ground/world-options.ts";
import { ruleOfError } from "./broken-codes.ts";
import { judgeEnd } from "./end-judge.ts";
import { FAULT_ID, type FaultProcess, faultProcesses } from "./fault-events.ts";
import { ActorProcess, LaneProcess, type Process } from "./process.ts";
import { allowed, type Play, type Scenario } from "./scenario.ts";
import type { Strategy } from "./strategy.ts";

export interface RunOptions {
  readonly scenario: Scenario;
  readonly strategy: Strategy;
  readonly faults?: readonly FaultKind[];
  readonly faultsMax?: number;
  readonly counts?: TransitionCounts;
  readonly subjects?: Map<string, number>;
  /** Made anew for each run. */
  readonly checker?: CheckerMaker;
  readonly isTold?: boolean;
  /** Turns of the safety phase; default 400. */
  readonly turnsMax?: number;
}

/** A checker that can also be asked at the end. */
export interface ExplorerChecker extends RunChecker {
  readonly violations: readonly Violation[];
  finish(): unknown;
}

/** Makes the checker of a run; `createChecker` is one. */
export type CheckerMaker = (options: { step(): number }) => ExplorerChecker;

/** What one run was. */
export interface RunOutcome {
  /** All answers in order: the run itself. */
  readonly choices: readonly number[];
  /** Broken rules, the first one first. */
  readonly violations: readonly Violation[];
  readonly faults: World["faults"];
  readonly story: readonly StoryLine[];
  /** 32 bits over all turns and answers, and over the story when it is told. */
  readonly hash: number;
  readonly turns: number;
  /** The strategy knew the rest already. */
  readonly isCut: boolean;
}

export const TURNS_MAX = 400;
/** In the liveness phase everybody who can finish has done so long before. */
const LIVENESS_TURNS_MAX = 4_000;
const ACTORS_MAX = 12;
const LANE_ID = ACTORS_MAX;

export function executeRun(options: RunOptions): RunOutcome | Promise<RunOutcome> {
  const run = new Run(options);
  while (run.advance()) {
    if (run.usesPromises) {
      return finishLater(run);
    }
  }
  return run.end();
}

async function finishLater(run: Run): Promise<RunOutcome> {
  do {
    await pendingTasks();
  } while (run.advance());
  await pendingTasks();
  return run.end();
}

class Run {
  usesPromises = false;
  readonly #world: World;
  readonly #strategy: Strategy;
  readonly #turnsMax: number;
  readonly #checker: ExplorerChecker | undefined;
  readonly #choices: number[] = [];
  readonly #actors: ActorProcess[] = [];
  readonly #lanes: LaneProcess[] = [];
  readonly #faults: FaultProcess[];
  readonly #isTracked: boolean;
  readonly #candidates: Process[] = [];
  #play: Play = { actors: [] };
  #last: Process | undefined;
  #turns = 0;
  #isCut = false;
  #isLive = false;
  #livenessTurns = 0;
  #hash = 0x811c_9dc5;

  constructor(options: RunOptions) {
    this.#strategy = options.strategy;
    this.#turnsMax = options.turnsMax ?? options.scenario.turnsMax ?? TURNS_MAX;
    this.#checker = options.checker?.({ step: () => this.#turns });
    const { scenario, faults, faultsMax, counts, subjects, isTold } = options;
    this.#isTracked = scenario.isTracked ?? false;
    this.#world = createWorld({
      ...scenario.world,
      decisions: { choose: (count, label) => this.#choose(count, label) },
      ...(faults === undefined ? {} : { faults: allowed(scenario, faults) }),
      ...(faultsMax === undefined ? {} : { faultsMax }),
      ...(counts === undefined ? {} : { counts }),
      ...(subjects === undefined ? {} : { subjects }),
      ...(this.#checker === undefined ? {} : { checker: this.#checker }),
      isTold: isTold ?? false,
    });
    this.#begin(scenario);
    this.#faults = faultProcesses({
      world: this.#world,
      actors: this.#actors,
      storm: this.#play.storm,
      thrown: (name, error) => this.#thrown(name, error),
      hasPromises: () => {
        this.usesPromises = true;
      },
    });
  }

  /** One turn; false when there are no more. */
  advance(): boolean {
    if (this.#isCut) {
      return false;
    }
    if (!this.#isLive && this.#turns >= this.#turnsMax) {
      this.#beginLiveness();
    }
    const plainCount = this.#gather();
    if (plainCount === 0) {
      return this.#quiet();
    }
    const process = this.#isLive ? this.#nextInTurn() : this.#picked(plainCount);
    if (process === undefined) {
      return false;
    }
    this.#take(process);
    return true;
  }

  end(): RunOutcome {
    const stuck = this.#actors.filter(({ isFinished }) => !isFinished);
    if (!this.#isCut) {
      judgeEnd(this.#world, this.#play, stuck, this.#checker === undefined);
      this.#checker?.finish();
    }
    this.#strategy.ended?.({ stuck });
    this.#world.close();
    const { violations, faults, story } = this.#world;
    const all =
      this.#checker === undefined ? violations : [...violations, ...this.#checker.violations];
    for (const { step, actor, text } of story) {
      this.#mixText(`${step} ${actor} ${text}`);
    }
    return {
      choices: this.#choices,
      violations: all.length < 2 ? all : [...all].sort((one, other) => one.step - other.step),
      faults,
      story,
      hash: this.#hash >>> 0,
      turns: this.#turns,
      isCut: this.#isCut,
    };
  }

  #begin(scenario: Scenario): void {
    // A stack for every buffer costs a tenth of a run, and would be another on every machine.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      this.#play = scenario.play(this.#world);
    } catch (error) {
      if (this.#world.faults.length === 0) {
        throw error; // Not a schedule: the scenario cannot even begin.
      }
      this.#thrown("the world", error);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
    for (const actor of this.#play.actors.slice(0, ACTORS_MAX)) {
      const thrown = (name: string, error: unknown): void => this.#thrown(name, error);
      this.#actors.push(new ActorProcess(this.#actors.length, actor, this.#world, thrown));
    }
  }

  /** Fills the list of candidates: faults last; returns how many are none. */
  #gather(): number {
    const { clock } = this.#world;
    const candidates = this.#candidates;
    candidates.length = 0;
    while (this.#lanes.length < clock.lanes.length) {
      this.#addLane(clock.lanes[this.#lanes.length] as Lane);
    }
    const { horizonNs } = clock;
    if (this.#last?.isReady(horizonNs) === true && this.#last.kind !== "fault") {
      candidates.push(this.#last);
    }
    this.#offer(this.#actors, horizonNs);
    this.#offer(this.#lanes, horizonNs);
    const plainCount = candidates.length;
    if (!this.#isLive) {
      this.#offer(this.#faults, horizonNs);
    }
    return plainCount;
  }

  #addLane(lane: Lane): void {
    const id = LANE_ID + this.#lanes.length;
    if (id >= FAULT_ID) {
      const message = `a world has at most ${FAULT_ID - LANE_ID} drivers and engines`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    this.#lanes.push(new LaneProcess(id, lane, this.#world, this.#isTracked));
  }

  #offer(processes: readonly Process[], horizonNs: number): void {
    for (const process of processes) {
      if (process !== this.#last && process.isReady(horizonNs)) {
        this.#candidates.push(process);
      }
    }
  }

  #picked(plainCount: number): Process | undefined {
    const candidates = this.#candidates;
    const canContinue = candidates[0] === this.#last;
    const turn = { candidates, plainCount, canContinue, index: this.#turns };
    const place = this.#strategy.pick(turn);
    if (place < 0) {
      this.#isCut = true;
      return undefined;
    }
    this.#note(place);
    return candidates[place];
  }

  /** Round robin: everybody gets turns, whoever they wait for. */
  #nextInTurn(): Process | undefined {
    if (++this.#livenessTurns > LIVENESS_TURNS_MAX) {
      return undefined;
    }
    const after = this.#last?.id ?? -1;
    const ordered = [...this.#candidates].sort((one, other) => one.id - other.id);
    return ordered.find(({ id }) => id > after) ?? ordered[0];
  }

  #take(process: Process): void {
    const world = this.#world;
    const { touches } = world;
    touches.clear();
    const { declared, cause } = process;
    touches.add(declared === -1 ? -1 : declared, true);
    this.#mix(process.id);
    world.clock.turn = this.#turns++;
    world.step = this.#turns;
    world.actor = process.name;
    if (process.kind === "actor" && world.isTold) {
      world.say(process.label);
    }
    process.run();
    this.#last = process;
    if (process.kind === "actor" && (process as ActorProcess).waitsForPromise) {
      this.usesPromises = true;
    }
    if (!this.#isLive) {
      this.#strategy.stepped?.(process, cause, touches.reads, touches.writes);
    }
  }

  /** Nobody can go on. The first time: the faults are over. */
  #quiet(): boolean {
    const isOver = this.#actors.every(({ isFinished }) => isFinished);
    if (this.#isLive) {
      return this.#buryDead();
    }
    if (isOver && !this.#world.hasHeldBack) {
      return false;
    }
    this.#beginLiveness();
    return true;
  }

  /** What the dead held is given back when all work has ended, as a kernel does when a process has died. */
  #buryDead(): boolean {
    const dead = this.#actors.filter(({ isDead, isFinished }) => isDead && !isFinished);
    for (const actor of dead) {
      this.#world.actor = actor.name;
      this.#world.say("is dead: what it held is taken back");
      actor.bury();
    }
    return dead.length > 0;
  }

  #beginLiveness(): void {
    const world = this.#world;
    this.#isLive = true;
    world.actor = "the world";
    if (world.faults.length > 0) {
      world.say("the faults are over: everybody has to finish");
    }
    world.endFaults();
  }

  #choose(count: number, label: string): number {
    const answer = this.#isLive || this.#isCut ? 0 : this.#strategy.choose(count, label);
    this.#note(answer);
    return answer;
  }

  #note(answer: number): void {
    this.#choices.push(answer);
    this.#mix(answer);
  }

  /** FNV-1a over whole numbers. */
  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x0100_0193);
  }

  #mixText(text: string): void {
    for (let at = 0; at < text.length; at++) {
      this.#mix(text.charCodeAt(at));
    }
  }

  /** A refusal ends an actor and is nobody's fault; anything else is. */
  #thrown(actor: string, error: unknown): void {
    const world = this.#world;
    const rule = ruleOfError(error);
    const text = error instanceof Error ? error.message : String(error);
    if (rule === undefined) {
      world.say(`gives up: ${(error as PeerbufError).code}: ${text}`);
    } else {
      world.report(rule, text, actor);
    }
  }
}
