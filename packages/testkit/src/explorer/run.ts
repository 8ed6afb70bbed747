/**
 * Run: one schedule of one scenario, from an empty world to the last handle given back.
 *
 * Two phases. Safety: the strategy gives turns, faults happen, rules are watched. Liveness: the faults are
 * over, turns go round in order, and everybody has to finish; who cannot breaks SYN-020. A run is synchronous until a
 * promise comes into play; from then on all pending tasks run before the next turn, so that promises add no order of
 * their own.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Lane } from "../ground/ground-clock.ts";
import { pendingTasks } from "../ground/settle.ts";
import { World } from "../ground/world.ts";
import type { WorldRun } from "../ground/world-options.ts";
import { ruleOfError } from "./broken-codes.ts";
import type { Decisions } from "./decisions.ts";
import { inOrder, judgeEnd } from "./end-judge.ts";
import { FAULT_ID, type FaultProcess, type FaultScene, faultProcesses } from "./fault-events.ts";
import { ActorProcess, LaneProcess, type Process } from "./process.ts";
import type { ExplorerChecker, RunOptions, RunOutcome } from "./run-options.ts";
import { allowed, type Play, type Scenario, type ScenarioWorld } from "./scenario.ts";
import type { Strategy, Turn } from "./strategy.ts";
import { Trace } from "./trace.ts";
import { TurnLedger } from "./turn-ledger.ts";

export const TURNS_MAX = 400;
const LIGHT: ScenarioWorld = {};
const NOTHING: Play = { actors: [] };
const NO_FAULTS: readonly FaultProcess[] = [];
/** In the liveness phase everybody who can finish has done so long before. */
const LIVENESS_TURNS_MAX = 4_000;
const ACTORS_MAX = 12;
const LANE_ID = ACTORS_MAX;

export function executeRun(options: RunOptions): RunOutcome | Promise<RunOutcome> {
  return withStacks(options.isTold === true, () => {
    const run = new Run(options);
    while (run.advance()) {
      if (run.usesPromises) {
        return finishLater(run);
      }
    }
    return run.end();
  });
}

async function finishLater(run: Run): Promise<RunOutcome> {
  const isTold = run.isTold === true;
  const turn = (): boolean => withStacks(isTold, () => run.advance());
  do {
    await pendingTasks();
  } while (turn());
  await pendingTasks();
  return withStacks(isTold, () => run.end());
}

/** An error of a run is an answer to somebody in it, and its stack costs as much as some turns: only who is told has them. */
function withStacks<T>(isWanted: boolean, step: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = isWanted ? stackTraceLimit : 0;
  try {
    return step();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What a strategy is shown of a turn: the same object, each time filled anew. */
class OpenTurn implements Turn {
  readonly candidates: Process[] = [];
  plainCount = 0;
  canContinue = false;
  index = 0;
}

class Run implements Decisions, WorldRun, FaultScene {
  usesPromises = false;
  readonly actors: ActorProcess[] = [];
  readonly world: World;
  readonly checker: ExplorerChecker | undefined;
  readonly faults: WorldRun["faults"];
  readonly faultsMax: number | undefined;
  readonly counts: WorldRun["counts"];
  readonly subjects: WorldRun["subjects"];
  readonly isTold: boolean | undefined;
  readonly #strategy: Strategy;
  readonly #turnsMax: number;
  readonly #livenessTurnsMax: number;
  readonly #trace = new Trace();
  readonly #lanes: LaneProcess[] = [];
  readonly #faults: readonly FaultProcess[];
  /** For a strategy that listens. */
  readonly #ledger: TurnLedger | undefined;
  readonly #choice = new OpenTurn();
  #play: Play = NOTHING;
  #last: Process | undefined;
  #turns = 0;
  #isCut = false;
  #isLive = false;
  #livenessTurns = 0;

  constructor(options: RunOptions) {
    this.#strategy = options.strategy;
    this.#turnsMax = options.turnsMax ?? options.scenario.turnsMax ?? TURNS_MAX;
    this.#livenessTurnsMax = options.scenario.livenessTurnsMax ?? LIVENESS_TURNS_MAX;
    this.checker = options.checker?.({ step: () => this.#turns });
    const { scenario, faults } = options;
    this.faults = faults === undefined ? undefined : allowed(scenario, faults);
    this.faultsMax = options.faultsMax;
    this.counts = options.counts;
    this.subjects = options.subjects;
    this.isTold = options.isTold;
    this.world = new World(scenario.world ?? LIGHT, this);
    const isHeard = this.#strategy.stepped !== undefined;
    this.world.touches.isHeard = isHeard;
    this.#ledger = isHeard ? new TurnLedger(this.world, this.#strategy, scenario) : undefined;
    this.#begin(scenario);
    this.#faults = faults === undefined ? NO_FAULTS : faultProcesses(this);
  }

  // What the world and its faults are shown of the run.

  get decisions(): Decisions {
    return this;
  }

  get storm(): (() => void) | undefined {
    return this.#play.storm;
  }

  hasPromises(): void {
    this.usesPromises = true;
  }

  /** One turn; false when there are no more. */
  advance(): boolean {
    this.#ledger?.close(this.usesPromises);
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
    this.#ledger?.close(this.usesPromises);
    const stuck = this.actors.filter(({ isFinished }) => !isFinished);
    if (!this.#isCut) {
      judgeEnd(this.world, this.#play, stuck, this.checker === undefined);
      this.checker?.finish();
    }
    this.#ledger?.end();
    this.world.close();
    const { faults, story } = this.world;
    for (const { step, actor, text } of story) {
      this.#trace.mixText(`${step} ${actor} ${text}`);
    }
    return {
      choices: this.#trace.choices,
      violations: inOrder(this.world, this.checker?.violations ?? [], stuck.length > 0),
      faults,
      story,
      hash: this.#trace.hash,
      turns: this.#turns,
      isCut: this.#isCut,
    };
  }

  #begin(scenario: Scenario): void {
    // A stack for every buffer costs a tenth of a run, and would be another on every machine.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      this.#play = scenario.play(this.world);
    } catch (error) {
      if (this.world.faults.length === 0) {
        throw error; // Not a schedule: the scenario cannot even begin.
      }
      this.thrown("the world", error);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
    for (const actor of this.#play.actors) {
      if (this.actors.length < ACTORS_MAX) {
        this.actors.push(new ActorProcess(this.actors.length, actor, this.world, this));
      }
    }
  }

  /** Fills the list of candidates: faults last; returns how many are none. */
  #gather(): number {
    const { clock } = this.world;
    while (this.#lanes.length < clock.lanes.length) {
      this.#addLane(clock.lanes[this.#lanes.length] as Lane);
    }
    const { horizonNs } = clock;
    const { candidates } = this.#choice;
    let count = 0;
    if (this.#last?.isReady(horizonNs) === true && this.#last.kind !== "fault") {
      candidates[count++] = this.#last;
    }
    count = this.#offer(this.actors, horizonNs, count);
    const plainCount = this.#offer(this.#lanes, horizonNs, count);
    count = this.#isLive ? plainCount : this.#offer(this.#faults, horizonNs, plainCount);
    while (candidates.length > count) {
      candidates.pop(); // To set the length to 0 would give the room away each time.
    }
    return plainCount;
  }

  #addLane(lane: Lane): void {
    const id = LANE_ID + this.#lanes.length;
    if (id >= FAULT_ID) {
      const message = `a world has at most ${FAULT_ID - LANE_ID} drivers and engines`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    this.#lanes.push(new LaneProcess(id, lane, this.world));
  }

  /** Puts those that are ready from place `count` on; returns the place after them. */
  #offer(processes: readonly Process[], horizonNs: number, count: number): number {
    const { candidates } = this.#choice;
    let after = count;
    for (const process of processes) {
      if (process !== this.#last && process.isReady(horizonNs)) {
        candidates[after++] = process;
      }
    }
    return after;
  }

  #picked(plainCount: number): Process | undefined {
    const choice = this.#choice;
    choice.plainCount = plainCount;
    choice.canContinue = choice.candidates[0] === this.#last;
    choice.index = this.#turns;
    const place = this.#strategy.pick(choice);
    if (place < 0) {
      this.#ledger?.noteWaiting(this.actors);
      this.#isCut = true;
      return undefined;
    }
    this.#trace.answer(place);
    return choice.candidates[place];
  }

  /** Round robin: everybody gets turns, whoever they wait for. */
  #nextInTurn(): Process | undefined {
    if (++this.#livenessTurns > this.#livenessTurnsMax) {
      return undefined;
    }
    const after = this.#last?.id ?? -1;
    const ordered = [...this.#choice.candidates].sort((one, other) => one.id - other.id);
    return ordered.find(({ id }) => id > after) ?? ordered[0];
  }

  #take(process: Process): void {
    const world = this.world;
    if (!this.#isLive) {
      this.#ledger?.begin(process);
    }
    this.#trace.mix(process.id);
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
  }

  /** Nobody can go on. The first time: the faults are over. */
  #quiet(): boolean {
    const isOver = this.actors.every(({ isFinished }) => isFinished);
    if (!this.usesPromises && !(isOver && this.world.isIdle)) {
      this.usesPromises = true; // A driver may go on in a task of its own: asked again when pending tasks have run.
      return true;
    }
    if (this.#isLive) {
      return this.#buryDead();
    }
    if (isOver && !this.world.hasHeldBack) {
      return false;
    }
    this.#beginLiveness();
    return true;
  }

  /** What the dead held is given back when all work has ended, as a kernel does when a process has died. */
  #buryDead(): boolean {
    const dead = this.actors.filter(({ isDead, isFinished }) => isDead && !isFinished);
    for (const actor of dead) {
      this.world.actor = actor.name;
      this.world.say("is dead: what it held is taken back");
      actor.bury();
    }
    return dead.length > 0;
  }

  #beginLiveness(): void {
    const world = this.world;
    this.#ledger?.noteWaiting(this.actors);
    this.#isLive = true;
    this.#last = undefined; // What follows depends on nothing but where everybody stands.
    world.actor = "the world";
    if (world.faults.length > 0) {
      world.say("the faults are over: everybody has to finish");
    }
    world.endFaults();
  }

  /** Everything that is no turn. */
  choose(count: number, label: string): number {
    const answer = this.#isLive || this.#isCut ? 0 : this.#strategy.choose(count, label);
    this.#trace.answer(answer);
    return answer;
  }

  /** A refusal ends an actor and is nobody's fault; anything else is. */
  thrown(actor: string, error: unknown): void {
    const { world } = this;
    const rule = ruleOfError(error);
    const text = error instanceof Error ? error.message : String(error);
    if (rule === undefined) {
      world.say(`gives up: ${(error as PeerbufError).code}: ${text}`);
    } else {
      world.report(rule, text, actor);
    }
  }
}
