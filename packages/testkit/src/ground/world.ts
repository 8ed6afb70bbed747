/**
 * World: the light, fast ground on which drivers are explored.
 *
 * A few devices, host and device memory with real bytes, an IOMMU, engines, a clock whose ready events are
 * put in order by decisions, and core's framework on top. No PCIe: what hardware tokens a driver needs beyond
 * `DMA_ENGINE` it finds on the modelled machine. Making a world takes microseconds, so that a run is one world and
 * nothing of a run is left for the next.
 */
import {
  createFramework,
  type Device,
  type DmaBuf,
  type ExporterDriver,
  type Framework,
  type ImporterDriver,
  type Opened,
  type OpenedExporter,
  type Platform,
  type SegmentList,
} from "@peerbuf/core";
import type { Violation } from "../checker/violation.ts";
import type { Decisions } from "../explorer/decisions.ts";
import type { RuleId } from "../rules/rule.ts";
import { lookAtPlace, lookAtUsers, touchBuffer } from "./buffer-touches.ts";
import type { DmaEngine } from "./dma-engine.ts";
import type { OwnedState } from "./driver-state.ts";
import { type CallFault, FAULT_LABELS, type FaultKind } from "./fault-kind.ts";
import type { Ground } from "./ground.ts";
import { GroundClock } from "./ground-clock.ts";
import { judgeOf } from "./ground-devices.ts";
import type { GroundDma } from "./ground-dma.ts";
import type { GroundMemory } from "./ground-memory.ts";
import { LightGround } from "./light-ground.ts";
import { SyncTouches } from "./sync-touches.ts";
import { Touches } from "./touches.ts";
import { TRANSITIONS, type Transition } from "./transition.ts";
import { type ExporterWatch, type WatchedBuffer, watchedExporter } from "./watched-exporter.ts";
import { withoutPlaces } from "./without-places.ts";
import type { RunChecker, StoryLine, WorldKind, WorldOptions, WorldRun } from "./world-options.ts";

/** Findings kept of one run, and lines of its story. */
export const VIOLATIONS_MAX = 64;
const LINES_MAX = 10_000;

export function createWorld(options: WorldOptions): World {
  return new World(options, options);
}

/** Importers are told of these. */
const TELLS: ReadonlySet<Transition> = new Set(["move", "move refused", "revoke"]);

export class World implements ExporterWatch {
  readonly platform: Platform;
  /** Undefined: the light one. */
  readonly ground: Ground | undefined;
  readonly framework: Framework;
  readonly clock: GroundClock;
  readonly memory: GroundMemory;
  readonly dma: GroundDma;
  readonly decisions: Decisions;
  readonly touches: Touches;
  readonly violations: Violation[] = [];
  readonly story: StoryLine[] = [];
  /** Faults that happened, in order. */
  readonly faults: { kind: FaultKind; at: string; step: number }[] = [];
  /** Every buffer of exporters opened here. */
  readonly buffers: WatchedBuffer[] = [];
  /** The number of the step that runs: counts from 1. */
  step = 0;
  /** `false` in the liveness phase: nothing breaks any more. */
  hasFaults = true;
  readonly #run: WorldRun;
  readonly #faultsMax: number;
  readonly #light: LightGround;
  #actor = "the world";
  #sync: SyncTouches | undefined;

  constructor(kind: WorldKind, run: WorldRun) {
    this.#run = run;
    this.#faultsMax = run.faults === undefined ? 0 : (run.faultsMax ?? 1);
    this.decisions = run.decisions;
    this.touches = new Touches(run.subjects);
    this.clock = new GroundClock(kind.slackNs ?? 10_000);
    this.clock.touches = this.touches;
    this.#light = new LightGround(this, this.clock, kind);
    this.memory = this.#light.memory;
    this.dma = this.#light.dma;
    this.ground = kind.ground?.(this);
    this.platform = this.ground?.platform ?? this.#light.platform;
    const parts = { platform: this.platform, judge: this.ground?.judge ?? judgeOf(kind.path) };
    this.framework = run.checker?.framework(parts) ?? createFramework(parts);
  }

  get actor(): string {
    return this.#actor;
  }

  set actor(name: string) {
    this.#actor = name;
    if (this.#run.checker !== undefined) {
      this.#run.checker.actor = name;
    }
  }

  device(id: string): Device {
    return this.platform.device(id);
  }

  /** Opens an exporter whose buffers are watched: transitions, touches, faults at its calls. */
  openExporter<Options, Api>(
    driver: ExporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): OpenedExporter<Api> {
    const device = deviceId === undefined ? undefined : this.device(deviceId);
    const watched = watchedExporter(driver, this, this.stateOf(device));
    return this.framework.openExporter(watched, deviceId, options);
  }

  openImporter<Options, Api>(
    driver: ImporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): Opened<Api> {
    return this.framework.openImporter(driver, deviceId, options);
  }

  /** The state of the driver on this device; of none: of all without one. */
  stateOf(device: Device | undefined): OwnedState {
    return this.#light.stateOf(device);
  }

  /** Drivers are called back, by a fence that signals or because a buffer moves: any of them may be. */
  calledBack(): void {
    this.#light.calledBack();
  }

  engineOf(device: Device): DmaEngine {
    return (this.ground ?? this.#light).engineOf(device);
  }

  /** A rule was broken. Kept up to `VIOLATIONS_MAX`; the first is what a run is about. */
  report(rule: RuleId, what: string, subject: string): void {
    const text = withoutPlaces(what);
    if (this.violations.length < VIOLATIONS_MAX) {
      this.violations.push({ rule, text, step: this.step, actor: this.#actor, subject });
    }
    this.say(`breaks ${rule}: ${text}`);
  }

  /** A line of the story. Costs nothing when nobody listens. */
  say(text: string): void {
    if (this.#run.isTold === true && this.story.length < LINES_MAX) {
      this.story.push({ step: this.step, actor: this.#actor, text: withoutPlaces(text) });
    }
  }

  get isTold(): boolean {
    return this.#run.isTold === true;
  }

  /** Does this fault happen here? */
  fault(kind: CallFault, at: string): boolean {
    if (!this.mayFail(kind) || this.decisions.choose(2, FAULT_LABELS[kind]) === 0) {
      return false;
    }
    this.failed(kind, at);
    return true;
  }

  /** Is there a fault of this kind left for this run? */
  mayFail(kind: FaultKind): boolean {
    const { faults, checker } = this.#run;
    return (
      faults !== undefined &&
      // What the kit's own client does wrong there a checker would find.
      !(kind === "sync-mismatch" && checker !== undefined) &&
      this.hasFaults &&
      this.faults.length + (this.ground?.plannedFaults ?? 0) < this.#faultsMax &&
      faults.includes(kind)
    );
  }

  /** A fault happens. */
  failed(kind: FaultKind, at: string): void {
    this.faults.push({ kind, at, step: this.step });
    this.touches.everything();
    this.say(`fault: ${kind} at ${at}`);
  }

  /** Surprise removal: accesses of the device fail from now on, and nothing is mapped for it. */
  unplug(id: string): void {
    (this.ground ?? this.#light).unplug(id);
  }

  /** The faults are over: what was held back by them comes to its end, as a failure. */
  endFaults(): void {
    this.hasFaults = false;
    this.#light.endFaults();
    this.ground?.endFaults();
  }

  /** No work is under way on any buffer. */
  get isIdle(): boolean {
    return this.buffers.every(({ control }) => control.reservation.testSignaled("bookkeep"));
  }

  /** Work whose end was lost to a fault: it comes when the faults are over. */
  get hasHeldBack(): boolean {
    return this.#light.hasHeldBack || this.ground?.hasHeldBack === true;
  }

  /** The run is over, and judged: its memory goes to the next one. */
  close(): void {
    this.#light.close();
  }

  isGone(device: Device): boolean {
    return (this.ground ?? this.#light).isGone(device);
  }

  /** Looks over the run's shoulder. */
  get checker(): RunChecker | undefined {
    return this.#run.checker;
  }

  mayAccess(client: Device, address: number, lengthBytes: number, kind: "read" | "write"): boolean {
    const { checker } = this.#run;
    return checker === undefined || checker.deviceAccess({ client, address, lengthBytes, kind });
  }

  /** The work, with all that it awaits, is done by this actor. */
  task<T>(actor: string, work: () => T): T {
    return this.#run.checker?.task?.(actor, work) ?? work();
  }

  workOn(segments: SegmentList): { end(): void } | undefined {
    return this.#run.checker?.deviceWork(segments);
  }

  /** The step under way asks where the buffer is, or whether it may be used at all. */
  looksAt({ reservation }: DmaBuf): void {
    if (this.touches.isOn) {
      const watched = this.buffers.find(({ control }) => control.reservation === reservation);
      lookAtPlace(this.touches, watched?.name ?? reservation.label);
    }
  }

  // What watched exporters tell.

  /** Its exporter asks who needs it where it is. */
  asked(buffer: WatchedBuffer): void {
    if (this.touches.isOn) {
      lookAtUsers(this.touches, buffer.name);
    }
  }

  made(buffer: WatchedBuffer): void {
    if (this.touches.isHeard) {
      buffer.control.reservation.domain.observer = this.#syncTouches();
    }
    this.buffers.push(buffer);
  }

  happened(buffer: WatchedBuffer, now: number, detail: string): void {
    this.#run.counts?.count(buffer.last, now);
    buffer.last = now;
    if (this.touches.isOn) {
      touchBuffer(this.touches, buffer.name, now);
      buffer.state.called();
      if (TELLS.has(TRANSITIONS[now] as Transition)) {
        this.calledBack();
      }
    }
    if (this.isTold) {
      const after = detail === "" ? "" : ` (${detail})`;
      this.say(`${buffer.name}: ${TRANSITIONS[now]}${after}`);
    }
  }

  #syncTouches(): SyncTouches {
    this.#sync ??= new SyncTouches(this.touches, this);
    return this.#sync;
  }
}
