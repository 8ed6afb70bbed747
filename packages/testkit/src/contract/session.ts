/**
 * Session: one check on one world, with the checker on.
 *
 * Whatever the driver does, a session comes to its end: waits are bounded by the world coming to rest,
 * what is thrown is reported, and what is left over is named.
 */
import {
  createFramework,
  DEVICE,
  defineImporter,
  type Framework,
  HOST_MEMORY,
  type HostMemory,
  type Lifetime,
  type Mapping,
  type MappingOffer,
  PeerbufError,
  type Platform,
} from "@peerbuf/core";
import { type Checker, createChecker } from "../checker/checker.ts";
import { messageOf } from "../checker/fence-book.ts";
import type { Violation } from "../checker/violation.ts";
import type { RuleId } from "../rules/rule.ts";
import type { CheckResult, ContractCheck } from "./contract.ts";
import type { ContractWorld, OpenWorld, WorldWishes } from "./contract-world.ts";
import { Findings } from "./findings.ts";
import { type Probe, probeOn } from "./probe.ts";
import { isRefusal } from "./refusal.ts";

/** Times that a wait lets the world come to rest before it is given up. */
const ROUNDS_MAX = 1000;
const IDLE_ROUNDS_MAX = 20;

/** Thrown by a check: the driver does not claim what the check is about. */
export class NotClaimed extends Error {}

/** Thrown by a check that has said what is wrong and cannot go on. */
export class Stopped extends Error {}

/** Thrown when what a check waits for never comes. */
class NeverEnds extends Error {}

export interface SessionOptions {
  readonly open: OpenWorld;
  /** What the world should be. */
  readonly wishes?: WorldWishes;
  /** Between world and framework, e.g. to let something fail. */
  readonly platformOf?: (platform: Platform) => Platform;
}

/** A check that runs in a session; `about` is the driver, for messages. */
export function sessionCheck(
  name: string,
  rules: readonly RuleId[],
  about: string,
  options: SessionOptions,
  body: (session: Session) => Promise<void>,
): ContractCheck {
  const run = async (): Promise<CheckResult> => {
    const checker = createChecker();
    const world = await options.open(checker, options.wishes);
    const session = new Session(checker, world, options, rules, about);
    const note = await session.play(body);
    world.close();
    checker.finish();
    const violations = session.findings.causes();
    if (note !== undefined && violations.length === 0) {
      return { name, rules, outcome: "not claimed", note, violations };
    }
    return { name, rules, outcome: violations.length === 0 ? "held" : "broken", violations };
  };
  return { name, rules, run };
}

export class Session {
  readonly world: ContractWorld;
  readonly framework: Framework;
  readonly findings: Findings;
  readonly #lastSteps: (() => void)[] = [];
  readonly #checker: Checker;
  readonly #rules: readonly RuleId[];
  readonly #about: string;
  #memory: HostMemory | undefined;
  #bare: Framework | undefined;

  constructor(
    checker: Checker,
    world: ContractWorld,
    { platformOf }: SessionOptions,
    rules: readonly RuleId[],
    about: string,
  ) {
    this.world = world;
    this.#checker = checker;
    this.findings = new Findings(checker);
    this.#rules = rules;
    this.#about = about;
    const platform = platformOf?.(world.platform) ?? world.platform;
    this.framework = checker.framework({ platform, judge: world.judge });
  }

  /** Runs the body to its end; the reason why it does not apply, if it says so. */
  async play(body: (session: Session) => Promise<void>): Promise<string | undefined> {
    let note: string | undefined;
    try {
      await body(this); // Bounded in each of its waits: the world moves only where the check waits.
    } catch (error) {
      note = this.#noteOf(error);
      if (note === undefined) {
        this.#failed(error);
      }
    }
    for (const step of this.#lastSteps) {
      step();
    }
    await this.#restAtLast();
    this.#checker.atRest();
    this.#close(note !== undefined);
    await this.#restAtLast();
    return note;
  }

  /** Done when the body is over, however it ends: a driver is not to wait for the suite. */
  atLast(step: () => void): void {
    this.#lastSteps.push(step);
  }

  /** This must hold. */
  demand(rule: RuleId, holds: boolean, text: string): void {
    if (!holds) {
      this.findings.demanded(violationOf(rule, this.#about, text));
    }
  }

  /** Waits for the driver; whatever is never going to happen is given up when the world is at rest. */
  async inTime<T>(promise: Promise<T> | T, what: string): Promise<T> {
    const waited = Promise.resolve(promise);
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    waited.then(over, over);
    for (let round = 0, idle = 0; !isOver && round < ROUNDS_MAX; round++) {
      await new Promise(setImmediate);
      idle = isOver || (await this.#settled()) ? 0 : idle + 1;
      if (idle > IDLE_ROUNDS_MAX) {
        break;
      }
    }
    if (!isOver) {
      throw new NeverEnds(`${what} never ends`);
    }
    return await waited;
  }

  /** Work of a driver under test, followed across its `await`s. */
  task<T>(actor: string, work: () => T): T {
    return this.#checker.task(actor, work);
  }

  /** Lets what was begun go on, without an event of the world. */
  async ticks(count: number): Promise<void> {
    for (let tick = 0; tick < count; tick++) {
      await new Promise(setImmediate);
    }
  }

  /** Looks at the bytes of a mapping in the very moment in which they are said to be there. */
  async whenReady(
    mapping: Mapping,
    client: number,
    see: (bytes: Uint8Array) => void,
  ): Promise<void> {
    const { world } = this;
    const device = world.platform.device(world.clients[client] ?? "");
    const look = (): void => {
      const bytes = new Uint8Array(mapping.segments.sizeBytes);
      if (world.look?.(device, mapping.segments, bytes) === true) {
        see(bytes);
      }
    };
    if (mapping.ready === undefined || mapping.ready.addCallback(look, "suite") === "signaled") {
      look();
      return;
    }
    await this.inTime(mapping.ready.signaled(), "the arrival of the bytes");
  }

  async rest(): Promise<void> {
    await this.ticks(2);
    for (let round = 0; round < ROUNDS_MAX && (await this.#settled()); round++) {
      await new Promise(setImmediate);
    }
  }

  /** The refusal of a step that is to be refused; `undefined` when it went through. */
  async refusal(step: () => unknown, what: string): Promise<PeerbufError | undefined> {
    try {
      await this.inTime(Promise.resolve(step()), what);
      return undefined;
    } catch (error) {
      if (error instanceof PeerbufError && error.code !== "DRIVER_BROKEN") {
        return error;
      }
      throw error;
    }
  }

  /** An importer on one of the clients. */
  probe(client: number, lifetime: Lifetime, types?: readonly MappingOffer[]): Probe {
    const device = this.world.platform.device(this.world.clients[client] ?? "");
    return probeOn(device, `probe${client}`, lifetime, types);
  }

  /** All bytes of a mapping, as its device reads or writes them. */
  async transfer(
    mapping: Mapping,
    client: number,
    kind: "read" | "write",
    bytes: Uint8Array,
  ): Promise<void> {
    const { world } = this;
    const { transfer } = world;
    if (transfer === undefined) {
      throw new NotClaimed("this world has no engine that could look at the bytes");
    }
    if (mapping.ready !== undefined) {
      await this.inTime(mapping.ready.signaled(), "the arrival of the bytes");
    }
    const device = world.platform.device(world.clients[client] ?? "");
    const step = transfer.call(world, device, mapping.segments, kind, bytes);
    if (!(await this.inTime(step, `a ${kind} by ${device.id}`))) {
      throw new Error(`a ${kind} by ${device.id} did not get through its mapping`);
    }
  }

  /** A framework that nobody watches, for what a check does wrong on purpose. */
  get bare(): Framework {
    this.#bare ??= createFramework({ platform: this.world.platform, judge: this.world.judge });
    return this.#bare;
  }

  /** Host memory of the kit's own. */
  get memory(): HostMemory {
    this.#memory ??= this.framework.openImporter(holder, this.world.clients[0], undefined).api;
    return this.#memory;
  }

  async #restAtLast(): Promise<void> {
    try {
      await this.rest();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** What a driver throws in an event of its own is reported; the world goes on without it. */
  async #settled(): Promise<boolean> {
    try {
      return await this.world.settle();
    } catch (error) {
      if (error instanceof PeerbufError && error.code === "CLOCK_RUNAWAY") {
        throw new NeverEnds(`somebody never comes to rest: ${messageOf(error)}`);
      }
      this.#consequence("PLT-035", `an event threw: ${messageOf(error)}`);
      return true;
    }
  }

  /** A driver that declines what a check tries, with its reasons, does not claim it; but it must do something. */
  #noteOf(error: unknown): string | undefined {
    const isNo = error instanceof NotClaimed || isRefusal(error, this.#rules[0] ?? "");
    return isNo ? messageOf(error) : undefined;
  }

  #failed(error: unknown): void {
    if (error instanceof Stopped) {
      return;
    }
    const rule = error instanceof NeverEnds ? "SYN-020" : (this.#rules[0] ?? "SYN-020");
    this.#consequence(rule, messageOf(error));
  }

  /** A check that stopped midway has left its own handles behind. */
  #close(isMidway: boolean): void {
    try {
      this.framework.close();
    } catch (error) {
      if (isMidway) {
        return;
      }
      const [rule = "EXP-021"] = this.#rules;
      this.#consequence(rule, `at the end: ${messageOf(error)}`);
    }
  }

  #consequence(rule: RuleId, text: string): void {
    this.findings.followed(violationOf(rule, this.#about, text));
  }
}

const violationOf = (rule: RuleId, subject: string, text: string): Violation => ({
  rule,
  text,
  subject,
  step: 0,
  actor: "",
});

const holder = defineImporter<undefined, HostMemory>({
  name: "contract-memory",
  needsDevice: true,
  open: (services) => {
    services.get(DEVICE);
    return { api: services.get(HOST_MEMORY) };
  },
});

/** A promise that is waited for later, or not at all when the check stops before. */
export function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Bytes that tell where they are, different for each seed. */
export function patternOf(seed: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let state = seed + 1;
  for (let index = 0; index < lengthBytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Where two byte strings differ first; `undefined` when they are the same. */
export function difference(one: Uint8Array, other: Uint8Array): string | undefined {
  const at = one.findIndex((byte, index) => byte !== other[index]);
  if (at < 0 && one.length === other.length) {
    return undefined;
  }
  return at < 0
    ? `${one.length} bytes instead of ${other.length}`
    : `byte ${at} is ${other[at]}, not ${one[at]}`;
}
