/**
 * Random program: a few actors on a few variables, for holding exhaustive search with reduction to account.
 *
 * Everything that makes a step depend on another is in it: reads, changes, additions, waiting for one variable or two,
 * locks, fences, promises, events in shared lanes (soon, or late enough for time to matter), answers, and faults.
 */
import { SoftwareFence } from "@peerbuf/core";
import { movingExporter, promised, type Scenario, type Script, type World } from "@peerbuf/testkit";
import fc from "fast-check";

export const KINDS = [
  "read",
  "add",
  "double",
  "zero",
  "wait",
  "wait-both",
  "wait-either",
  "lock",
  "unlock",
  "event",
  "late-event",
  "signal",
  "wait-signal",
  "promise",
  "resolve",
  "answer",
  "fault",
] as const;

/** One piece of work, and the variable it is about. */
export interface Work {
  readonly variable: number;
  readonly kind: (typeof KINDS)[number];
}

export type Program = readonly (readonly Work[])[];

export const programs = (kinds: readonly Work["kind"][]): fc.Arbitrary<Program> =>
  fc.array(
    fc.array(fc.record({ variable: fc.nat(2), kind: fc.constantFrom(...kinds) }), {
      minLength: 1,
      maxLength: 3,
    }),
    { minLength: 2, maxLength: 3 },
  );

/** `seen`: what actors have read and left behind, of each run that came to its end. */
export const scenarioOf = (program: Program, seen: Set<string>): Scenario => ({
  name: "random-program",
  isTracked: true,
  faults: ["dma-refused", "eviction-storm"],
  play: (world) => new Memory(world, program).play(seen),
});

interface Promised {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** The variables of one run. */
class Memory {
  readonly #world: World;
  readonly #program: Program;
  readonly #values = [1, 0, 2];
  readonly #notes: string[];
  readonly #promises: Promised[] = [];
  readonly #fences: SoftwareFence[];

  constructor(world: World, program: Program) {
    this.#world = world;
    this.#program = program;
    this.#notes = program.map(() => "");
    // Two lanes for up to three actors: events of one lane keep the order of their times.
    world.clock.lane("events of even actors");
    world.clock.lane("events of odd actors");
    const buffer = world.openExporter(movingExporter, "gpu0", undefined).allocate(4096);
    const context = buffer.reservation.domain.createContext({
      driverName: "program",
      timelineName: "signals",
    });
    buffer.close();
    this.#fences = this.#values.map((_value, at) => new SoftwareFence(context, at + 1));
    for (const _value of this.#values) {
      let resolve = (): void => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#promises.push({ promise, resolve });
    }
  }

  play(seen: Set<string>): ReturnType<Scenario["play"]> {
    return {
      actors: this.#program.map((works, actor) => ({
        name: `actor ${actor}`,
        run: () => this.#script(works, actor),
      })),
      storm: () => this.#change(0, (value) => value + 1_000),
      check: () => void seen.add(JSON.stringify([this.#notes, this.#values])),
    };
  }

  *#script(works: readonly Work[], actor: number): Script {
    for (const { variable, kind } of works) {
      const { promise, resolve } = this.#promises[variable] as Promised;
      const fence = this.#fences[variable] as SoftwareFence;
      if (kind === "promise") {
        yield { ...promised(kind, promise), touches: [] };
        this.#note(actor, "promised");
        continue;
      }
      const until = this.#until(kind, variable);
      yield { label: kind, touches: [], ...(until === undefined ? {} : { until }) };
      if (kind === "resolve") {
        this.#world.touches.write(this.#subject(`promise ${variable}`));
        resolve();
      } else if (kind === "signal") {
        fence.signal();
      } else {
        this.#work(kind, variable, actor);
      }
    }
  }

  #until(kind: Work["kind"], variable: number): (() => boolean) | undefined {
    const other = (variable + 1) % 3;
    switch (kind) {
      case "wait":
        return () => this.#look(variable) !== 0;
      case "wait-both":
        return () => {
          const both = [this.#look(variable), this.#look(other)];
          return !both.includes(0);
        };
      case "wait-either":
        return () => {
          const both = [this.#look(variable) === 2, this.#look(other) >= 3];
          return both.includes(true);
        };
      case "lock":
        return () => this.#look(variable) >= 0;
      case "wait-signal":
        return () => this.#fences[variable]?.poll() === true;
      default:
        return undefined;
    }
  }

  #work(kind: Work["kind"], variable: number, actor: number): void {
    switch (kind) {
      case "add":
        this.#world.touches.add(this.#subject(`variable ${variable}`));
        this.#values[variable] = (this.#values[variable] as number) + 1;
        break;
      case "double":
        this.#change(variable, (value) => value * 2);
        break;
      case "zero":
        this.#change(variable, () => 0);
        break;
      case "lock":
        this.#change(variable, (value) => -1 - value);
        break;
      case "unlock":
        this.#change(variable, (value) => (value < 0 ? -1 - value : value));
        break;
      case "event":
      case "late-event":
        this.#schedule(kind === "event" ? 1_000 : 50_000, variable, actor);
        break;
      case "answer":
        if (this.#world.decisions.choose(2, "an answer") === 1) {
          this.#change(variable, (value) => value * 2 + 1);
        } else {
          this.#note(actor, `asked ${this.#look(variable)}`);
        }
        break;
      case "fault":
        if (this.#world.fault("dma-refused", "here")) {
          this.#change(variable, (value) => value + 100);
        }
        break;
      default:
        this.#note(actor, String(this.#look(variable)));
    }
  }

  #schedule(delayNs: number, variable: number, actor: number): void {
    const lane = this.#world.clock.lanes.find(
      ({ name }) => name === `events of ${actor % 2 === 0 ? "even" : "odd"} actors`,
    );
    lane?.schedule(delayNs, () => {
      this.#change(variable, (value) => value * 3 + 1);
      this.#note(actor, "event");
    });
  }

  #look(variable: number): number {
    this.#world.touches.read(this.#subject(`variable ${variable}`));
    return this.#values[variable] as number;
  }

  #change(variable: number, change: (value: number) => number): void {
    this.#world.touches.write(this.#subject(`variable ${variable}`));
    this.#values[variable] = change(this.#values[variable] as number);
  }

  #note(actor: number, text: string): void {
    this.#world.touches.write(this.#subject(`notes of ${actor}`));
    this.#notes[actor] += `${text} `;
  }

  #subject(name: string): number {
    return this.#world.touches.subject(name);
  }
}
