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
  PeerbufError,
  type Platform,
  type SegmentList,
} from "@peerbuf/core";
import type { Violation } from "../checker/violation.ts";
import type { Decisions } from "../explorer/decisions.ts";
import type { RuleId } from "../rules/rule.ts";
import { type DmaEngine, type EngineHost, GroundEngine } from "./dma-engine.ts";
import { type CallFault, FAULT_LABELS, type FaultKind } from "./fault-kind.ts";
import type { Ground } from "./ground.ts";
import { GroundClock, type Lane, type ScheduleListener } from "./ground-clock.ts";
import { deviceOf, judgeOf } from "./ground-devices.ts";
import { GroundDma } from "./ground-dma.ts";
import { GroundMemory, type MemoryHost } from "./ground-memory.ts";
import { provideServices } from "./ground-services.ts";
import { Touches } from "./touches.ts";
import { TRANSITIONS } from "./transition.ts";
import { type WatchedBuffer, watchedExporter } from "./watched-exporter.ts";
import { withoutPlaces } from "./without-places.ts";
import type { StoryLine, WorldOptions } from "./world-options.ts";

/** Findings kept of one run, and lines of its story. */
export const VIOLATIONS_MAX = 64;
const LINES_MAX = 10_000;

export function createWorld(options: WorldOptions): World {
  return new World(options);
}

export class World implements EngineHost, MemoryHost, ScheduleListener {
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
  readonly #options: WorldOptions;
  readonly #faultsMax: number;
  readonly #devices = new Map<string, Device>();
  readonly #engines = new Map<Device, DmaEngine>();
  readonly #gone = new Set<Device>();
  readonly #parked: (() => void)[] = [];
  readonly #driverLane: Lane;
  #actor = "the world";
  /** The buffer that something happened to last. */
  #current: WatchedBuffer | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#faultsMax = options.faults === undefined ? 0 : (options.faultsMax ?? 1);
    this.decisions = options.decisions;
    this.touches = new Touches(options.subjects);
    this.clock = new GroundClock(options.slackNs ?? 10_000);
    this.#driverLane = this.clock.lane("drivers");
    this.clock.listener = this;
    this.memory = new GroundMemory(options.hostBytesMax ?? 2 ** 24, this);
    this.dma = new GroundDma(options.isDirect ?? false, {
      refuse: ({ client }) => this.#refusal(client),
      changed: (client, what) => this.#dmaChanged(client, what),
      subject: () =>
        this.#current === undefined ? 0 : this.touches.subject(this.#sharedBy(this.#current)),
      strayUnmap: (client) =>
        this.report("PLT-011", `${client.id}: unmapped what is not mapped for it`, client.id),
    });
    for (const id of options.devices ?? ["gpu0", "nic0", "nic1"]) {
      this.#devices.set(id, deviceOf(id, options.limits?.[id]));
    }
    this.ground = options.ground?.(this);
    this.platform = this.ground?.platform ?? this.#platformOf();
    const parts = { platform: this.platform, judge: this.ground?.judge ?? judgeOf(options.path) };
    this.framework = options.checker?.framework(parts) ?? createFramework(parts);
  }

  get actor(): string {
    return this.#actor;
  }

  set actor(name: string) {
    this.#actor = name;
    if (this.#options.checker !== undefined) {
      this.#options.checker.actor = name;
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
    const watched = watchedExporter(
      driver,
      this.#watch,
      (buffer) => void this.buffers.push(buffer),
    );
    return this.framework.openExporter(watched, deviceId, options);
  }

  openImporter<Options, Api>(
    driver: ImporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): Opened<Api> {
    return this.framework.openImporter(driver, deviceId, options);
  }

  engineOf(device: Device): DmaEngine {
    if (this.ground !== undefined) {
      return this.ground.engineOf(device);
    }
    let engine = this.#engines.get(device);
    if (engine === undefined) {
      engine = new GroundEngine(device, this.clock.lane(`engine of ${device.id}`), this);
      this.#engines.set(device, engine);
    }
    return engine;
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
    if (this.#options.isTold === true && this.story.length < LINES_MAX) {
      this.story.push({ step: this.step, actor: this.#actor, text: withoutPlaces(text) });
    }
  }

  get isTold(): boolean {
    return this.#options.isTold === true;
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
    const { faults, checker } = this.#options;
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
    if (this.ground === undefined) {
      this.#gone.add(this.device(id));
    } else {
      this.ground.unplug(id);
    }
  }

  /** The faults are over: what was held back by them comes to its end, as a failure. */
  endFaults(): void {
    this.hasFaults = false;
    for (const run of this.#parked.splice(0)) {
      this.#driverLane.schedule(0, run);
    }
    this.ground?.endFaults();
  }

  /** Work whose end was lost to a fault: it comes when the faults are over. */
  get hasHeldBack(): boolean {
    return this.#parked.length > 0 || this.ground?.hasHeldBack === true;
  }

  /** The run is over, and judged. */
  close(): void {
    this.memory.close();
  }

  // What memory and engines ask.

  scheduled({ name }: Lane): void {
    this.touches.add(this.touches.subject(name), true);
  }

  subjectOf(name: string): number {
    return this.touches.subject(name);
  }

  badAccess(address: number, what: string): void {
    const text = `${what} at 0x${address.toString(16)}: nobody holds this memory`;
    this.report("PLT-034", text, "memory");
  }

  isGone(device: Device): boolean {
    return this.ground?.isGone(device) ?? this.#gone.has(device);
  }

  park(run: () => void): void {
    if (this.hasFaults) {
      this.#parked.push(run);
    } else {
      this.#driverLane.schedule(0, run);
    }
  }

  mayAccess(client: Device, address: number, lengthBytes: number, kind: "read" | "write"): boolean {
    const { checker } = this.#options;
    return checker === undefined || checker.deviceAccess({ client, address, lengthBytes, kind });
  }

  workOn(segments: SegmentList): { end(): void } | undefined {
    return this.#options.checker?.deviceWork(segments);
  }

  trap(client: Device, address: number, lengthBytes: number, kind: string, why: string): void {
    const what = `${client.id}: a ${kind} of ${lengthBytes} bytes at 0x${address.toString(16)}`;
    this.report(why.includes("direction") ? "IMP-021" : "IMP-016", `${what}: ${why}`, client.id);
  }

  touchMemory(subject: number, writes: boolean): void {
    this.touches.add(subject, writes);
  }

  touchEverything(): void {
    this.touches.everything();
  }

  touchBuffer(subject: number): void {
    // Ends of work commute with each other, and with nothing that looks at the buffer's fences.
    this.touches.add(subject, false);
  }

  completing(device: Device, what: string): void {
    this.say(`the engine of ${device.id} ${what}`);
  }

  /** The name under which steps on a buffer of a watched exporter declare that they touch it. */
  nameOf({ reservation, name }: DmaBuf): string {
    const watched = this.buffers.find(({ control }) => control.reservation === reservation);
    return watched === undefined ? name : this.#sharedBy(watched);
  }

  /** What buffers of one driver share, unless the scenario says that it is nothing. */
  #sharedBy({ driverName, name }: WatchedBuffer): string {
    return this.#options.buffersShareNothing === true ? name : driverName;
  }

  readonly #watch = {
    fault: (kind: CallFault, at: string): boolean => this.fault(kind, at),
    happened: (buffer: WatchedBuffer, now: number, detail: string): void => {
      this.#options.counts?.count(buffer.last, now);
      buffer.last = now;
      this.touches.add(this.touches.subject(this.#sharedBy(buffer)), true);
      this.#current = buffer;
      if (this.#options.isTold === true) {
        const after = detail === "" ? "" : ` (${detail})`;
        this.say(`${buffer.name}: ${TRANSITIONS[now]}${after}`);
      }
    },
  };

  #platformOf(): Platform {
    return {
      name: "ground",
      clock: this.clock,
      dma: this.dma,
      device: (id) => {
        const device = this.#devices.get(id);
        if (device === undefined) {
          throw new PeerbufError("DEVICE_UNKNOWN", `this world has no device ${id}`);
        }
        return device;
      },
      provide: (device, registry) => {
        const { memory, dma } = this;
        const lane =
          device === undefined ? this.#driverLane : this.clock.lane(`driver of ${device.id}`);
        const parts = {
          memory,
          dma,
          lane,
          deviceMemoryBytes: this.#options.deviceMemoryBytes ?? 2 ** 16,
          engineOf: (each: Device) => this.engineOf(each),
          indexOf: (each: Device) => [...this.#devices.keys()].indexOf(each.id),
        };
        provideServices(parts, device, registry);
      },
    };
  }

  #refusal(client: Device): ReturnType<ConstructorParameters<typeof GroundDma>[1]["refuse"]> {
    if (this.#gone.has(client)) {
      const text = `${client.id} is not there any more`;
      return { answer: "refused", errno: "EIO", code: "DEVICE_REMOVED", text };
    }
    if (this.fault("dma-refused", client.id)) {
      const text = `no addresses left for ${client.id}`;
      return { answer: "refused", errno: "ENOMEM", code: "FAULT_INJECTED", text };
    }
    return undefined;
  }

  #dmaChanged(client: Device, what: "map" | "unmap"): void {
    if (this.#options.isTold === true) {
      this.say(`DMA ${what} for ${client.id}`);
    }
  }
}
