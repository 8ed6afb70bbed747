/**
 * Machine ground: a world on a modelled machine, for drivers that program registers.
 *
 * Real topology, real models, real bytes over modelled PCIe. Its clock's lanes are the world's, its faults the world's
 * decisions. The guard is there on every DMA platform, so that a device that goes where nothing is mapped for it is found out
 * and nobody is hurt. One machine for each run; the topology is shared.
 */
import { type Device, type Judge, PeerbufError, type Platform } from "@peerbuf/core";
import {
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type Fault,
  type Machine,
  type MachineOptions,
  type ModelledPlatform,
  type PlatformOptions,
} from "@peerbuf/machine";
import type { DmaEngine } from "../ground/dma-engine.ts";
import type { Ground } from "../ground/ground.ts";
import type { World } from "../ground/world.ts";
import { ExploredClock } from "./explored-clock.ts";
import { GroundPlatform } from "./ground-platform.ts";
import { KitDevice } from "./kit-device.ts";
import { PlannedFaults } from "./planned-faults.ts";
import { WatchedPort } from "./watched-port.ts";

/** Models by BDF. */
export type Models = Readonly<Record<string, DeviceModel>>;

export interface MachineGroundOptions<Placed extends Models = Models> {
  /** Topology, memory, links, ...; the clock is the explorer's. */
  readonly machine: Omit<MachineOptions, "clock">;
  readonly judge: Judge;
  /** New models for the slots of a new machine. */
  models(machine: Machine): Placed;
  /**
   * BDFs or ids by the names under which the kit's scenarios know devices (gpu0, nic0, nic1). A role whose slot has no model
   * is played by a device of the kit's: memory behind a BAR, and an engine.
   */
  readonly roles?: Readonly<Record<string, string>>;
  readonly platform?: PlatformOptions;
  /** The DMA platforms among which a run decides; default only that of `platform`. */
  readonly dmaPlatforms?: readonly NonNullable<PlatformOptions["dma"]>[];
}

/** Loss reasons that are a driver's mistake: the device went where nothing is mapped for it. */
const MISTAKES: readonly Fault["reason"][] = [
  "NOT_MAPPED",
  "IOMMU_NO_DOMAIN",
  "IOMMU_NOT_PRESENT",
  "IOMMU_PERMISSION",
];

export class MachineGround<Placed extends Models = Models> implements Ground {
  readonly platform: Platform;
  readonly judge: Judge;
  readonly machine: Machine;
  /** The models of this run. */
  readonly models: Placed;
  readonly #world: World;
  readonly #modelled: ModelledPlatform;
  readonly #platform: GroundPlatform;
  readonly #faults: PlannedFaults;
  /** The kit's devices, by BDF. */
  readonly #kit = new Map<string, KitDevice>();
  /** Devices by the function that issues their requests. */
  readonly #clients = new Map<string, Device>();
  readonly #gone = new Set<string>();
  /** Host memory that is part of the hardware, such as carve-outs. */
  readonly #ownAllocations: number;

  constructor(world: World, options: MachineGroundOptions<Placed>) {
    this.#world = world;
    this.judge = options.judge;
    this.machine = createMachine({ ...options.machine, clock: new ExploredClock(world.clock) });
    this.models = options.models(this.machine);
    for (const [bdf, model] of Object.entries(this.models)) {
      this.machine.place(bdf, model);
    }
    this.#ownAllocations = this.machine.handles().hostAllocations;
    this.#placeKit(Object.values(options.roles ?? {}));
    this.#modelled = createModelledPlatform(this.machine, {
      ...options.platform,
      ...this.#dma(options.dmaPlatforms),
      guard: true,
    });
    this.#faults = new PlannedFaults(world, this.machine);
    this.#platform = new GroundPlatform(
      this.#faults.injector.platform(this.#modelled),
      options.roles ?? {},
      (id) => this.#kit.get(id),
    );
    this.platform = this.#platform;
    this.#know(options.platform?.devices ?? []);
    this.#faults.plan(Object.keys(this.models));
    this.#listen();
  }

  engineOf(device: Device): DmaEngine {
    const engine = this.#kit.get(device.id);
    if (engine === undefined) {
      throw new PeerbufError("DEVICE_UNKNOWN", `${device.id} is no device of the kit's`);
    }
    this.#platform.servicesOf(device); // Switches it on.
    return engine;
  }

  get plannedFaults(): number {
    return this.#faults.count;
  }

  get hasHeldBack(): boolean {
    return this.#faults.hasHeldBack;
  }

  endFaults(): void {
    this.#faults.end();
  }

  removable(): readonly string[] {
    return Object.keys(this.models).filter((bdf) => !this.#gone.has(bdf));
  }

  /** Pulled out, or reset behind its driver's back. */
  unplug(id: string): void {
    const isReset = this.#world.decisions.choose(2, "how: pulled out or reset") === 1;
    if (isReset) {
      this.machine.resetFunction(id);
    } else {
      this.#gone.add(id);
      this.machine.surpriseRemove(id);
    }
    this.#world.say(isReset ? `${id} is reset` : `${id} is pulled out`);
  }

  isGone(device: Device): boolean {
    return this.#gone.has(device.id);
  }

  judgeLeaks(): void {
    const { mappings, coherent, hostAllocations, interruptHandlers } = this.machine.handles();
    const out = (
      count: number,
      what: string,
      rule: "PLT-030" | "PLT-031" | "EXP-021" | "PLT-033",
    ) => {
      if (count > 0) {
        this.#world.report(rule, `${count} ${what} are left at the end`, "the machine");
      }
    };
    out(mappings, "DMA mappings", "PLT-030");
    out(coherent, "pieces of coherent memory", "PLT-031");
    const allocations = hostAllocations - coherent - this.#ownAllocations;
    out(allocations, "allocations of host memory", "EXP-021");
    out(interruptHandlers, "interrupt handlers", "PLT-033");
    this.#modelled.close();
  }

  #dma(
    platforms: MachineGroundOptions["dmaPlatforms"] = [],
  ): Pick<PlatformOptions, "dma"> | undefined {
    const { decisions } = this.#world;
    const chosen = platforms.length > 1 ? decisions.choose(platforms.length, "DMA platform") : 0;
    const dma = platforms[chosen];
    return dma === undefined ? undefined : { dma };
  }

  #placeKit(ids: readonly string[]): void {
    for (const bdf of ids) {
      const isFunction = this.machine.topology.indexOf(bdf) >= 0;
      if (isFunction && this.models[bdf] === undefined && !this.#kit.has(bdf)) {
        const device = new KitDevice(
          () => this.#platform.servicesOf(this.#modelled.device(bdf)),
          (segments) => this.#world.workOn(segments),
        );
        this.#kit.set(bdf, device);
        this.machine.place(bdf, device);
      }
    }
  }

  #know(others: NonNullable<PlatformOptions["devices"]>): void {
    for (const bdf of [...Object.keys(this.models), ...this.#kit.keys()]) {
      this.#clients.set(bdf, this.#modelled.device(bdf));
    }
    for (const { id, behind } of others) {
      this.#clients.set(behind, this.#modelled.device(id));
    }
  }

  #listen(): void {
    const { machine } = this;
    machine.interpose((port) => new WatchedPort(port, this.#lookAt(port.bdf)));
    machine.faultLog.faults.subscribe((fault) => this.#lost(fault));
    machine.failures.stream.subscribe(({ device, error }) => {
      this.#world.report("PLT-035", `the model of ${device} threw: ${error.message}`, device);
    });
  }

  #lookAt(bdf: string): ConstructorParameters<typeof WatchedPort>[1] {
    const client = this.#clients.get(bdf);
    // The kit's own devices say when their work begins and ends.
    const isWork = !this.#kit.has(bdf);
    return (address, lengthBytes, kind) => {
      if (client !== undefined && !this.#platform.isOwn(client, address, lengthBytes)) {
        this.#world.checker?.deviceAccess({ client, address, lengthBytes, kind, isWork });
      }
    };
  }

  #lost({ requester, address, lengthBytes, kind, reason }: Fault): void {
    if (MISTAKES.includes(reason) && !this.#faults.hasStopped(requester, address)) {
      const what = `${requester}: a ${kind} of ${lengthBytes} bytes at 0x${address.toString(16)}`;
      this.#world.report("IMP-016", `${what}: nothing is mapped for it there`, requester);
    }
  }
}
