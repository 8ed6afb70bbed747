/**
 * Machine: a modelled computer, built from a captured topology.
 *
 * Has memory, a fabric, a clock, and a slot for each captured function in which a device model can
 * be placed. It routes bytes as hardware would and takes no part in negotiation.
 *
 * Not here: what drivers see of it (`platform.ts`), what only a harness may see (`inspect.ts`).
 */
import { InputError, PeerbufError } from "@peerbuf/core";
import { ACS_PRESENT, type Topology } from "@peerbuf/topology";
import { EVENTS_PER_DRAIN_MAX, VirtualClock } from "./clock.ts";
import type { CommandBits } from "./command-register.ts";
import { ConfigSpace } from "./config-space.ts";
import { FailureLog } from "./containment/failure-log.ts";
import { Corruption } from "./corruption.ts";
import type { DeviceModel, DevicePort } from "./device-model.ts";
import { DeviceSlot } from "./device-slot.ts";
import { layOutDram } from "./dram-layout.ts";
import { Fabric } from "./fabric.ts";
import { FaultLog } from "./fault-log.ts";
import { type HandleCounts, HandleLedger } from "./handle-ledger.ts";
import { ModelledHostMemory, type PagePlacement } from "./host-memory.ts";
import { HotPlug } from "./hot-plug.ts";
import { Inspect } from "./inspect.ts";
import { InterruptLines } from "./interrupts.ts";
import type { Iommu } from "./iommu/iommu.ts";
import type { LinkOptions } from "./links/link-options.ts";
import { MachineLinks } from "./links/machine-links.ts";
import { driverLane, engineLane, type MachineClock } from "./machine-clock.ts";
import { FabricPort } from "./port.ts";
import { Random } from "./random.ts";
import { checkedProfile, type RootComplexProfile } from "./root-complex.ts";

/** RAM of a node unless told otherwise; it costs nothing until it is used. */
const MEMORY_BYTES_DEFAULT = 4 * 2 ** 30;

export interface MachineOptions {
  readonly topology: Topology;
  /** Bytes of RAM, one number for every NUMA node of the topology or one each. Whole MiB. */
  readonly memoryBytesPerNode?: number | readonly number[];
  /** What the root complex does with peer requests; `forwards` unless told otherwise. */
  readonly rootComplex?: RootComplexProfile;
  /** Bus address minus physical address (0 or more), by root bus, e.g. `{"0000:00": 0x1_0000_0000}`. */
  readonly busOffset?: Readonly<Record<string, number>>;
  /** How allocations that need not be contiguous are served; `packed` unless told otherwise. */
  readonly pagePlacement?: PagePlacement;
  /** For everything random: the order of scattered pages, and which bytes a faulty root complex changes. */
  readonly seed?: number;
  /** What its links can do where the capture does not say. */
  readonly links?: LinkOptions;
  /** Time shared with another machine, or kept by a harness; one of its own unless given. */
  readonly clock?: MachineClock;
  /** Events that the clock of its own runs in one go before it is a runaway. */
  readonly eventsPerDrainMax?: number;
}

/** Something put between device models and their links, such as a guard or a fault injector. */
export type PortWrapper = (port: DevicePort) => DevicePort;

export function createMachine(options: MachineOptions): Machine {
  return new Machine(options);
}

export class Machine {
  readonly topology: Topology;
  readonly clock: MachineClock;
  readonly memory: ModelledHostMemory;
  readonly fabric: Fabric;
  readonly faultLog: FaultLog = new FaultLog();
  /** Device models and drivers' handlers that threw where nobody could be told; the run goes on. */
  readonly failures: FailureLog = new FailureLog(() => this.clock.nowNs);
  /** How long transfers take, and what went through each link. */
  readonly links: MachineLinks;
  /** The harness's view: not hardware. */
  readonly inspect: Inspect;
  readonly ledger: HandleLedger = new HandleLedger();
  readonly hotPlug: HotPlug;
  readonly #slots = new Map<number, DeviceSlot>();
  readonly #interrupts = new Map<number, InterruptLines>();
  #wrappers: readonly PortWrapper[] = [];

  constructor(options: MachineOptions) {
    const { topology } = options;
    this.topology = topology;
    this.clock =
      options.clock ?? new VirtualClock(options.eventsPerDrainMax ?? EVENTS_PER_DRAIN_MAX);
    this.memory = new ModelledHostMemory(
      layOutDram(topology, memorySizes(topology, options.memoryBytesPerNode)),
      options.pagePlacement ?? "packed",
      new Random(options.seed ?? 1),
    );
    this.fabric = new Fabric(
      topology,
      this.memory.banks,
      checkedProfile(options.rootComplex ?? "forwards"),
      busOffsets(topology, options.busOffset ?? {}),
      new Corruption(options.seed ?? 1),
      this.faultLog,
      () => this.clock.nowNs,
    );
    this.links = new MachineLinks(this.fabric, this.clock, options.links ?? {});
    this.hotPlug = new HotPlug(this.fabric, (row) => this.#slots.get(row)?.model);
    this.inspect = new Inspect(this.memory, this.fabric, this.faultLog);
  }

  /**
   * Places a model behind a captured function. `InputError` for an unknown function or one whose BARs
   * do not fit, `DEVICE_FAILED` for a model that throws, `WRONG_ORDER` when it has a model.
   */
  place(bdf: string, model: DeviceModel): void {
    const row = this.topology.require(bdf);
    if (this.#slots.has(row)) {
      throw new PeerbufError("WRONG_ORDER", `${bdf} has a model already`);
    }
    const clock = this.clock.lane(engineLane(this.topology.bdfOf(row)));
    const link = new FabricPort(row, this.fabric, this.interruptsOf(row), clock, this.links);
    const bars = this.fabric.map.slots.filter((slot) => slot.row === row);
    const slot = new DeviceSlot(model, link, bars, this.failures);
    this.#slots.set(row, slot);
    this.#plug(slot);
  }

  /** Puts `wrap` before the link of every device, now and later, until it is taken out again. */
  interpose(wrap: PortWrapper): { remove(): void } {
    this.#setWrappers([...this.#wrappers, wrap]);
    return { remove: () => this.#setWrappers(this.#wrappers.filter((other) => other !== wrap)) };
  }

  /**
   * Writes a function's ACS control register at run time; bits it is not capable of stay 0, as on
   * hardware. `InputError` when it has no ACS.
   */
  setAcsControl(bdf: string, bits: number): void {
    const row = this.topology.require(bdf);
    const { acsState, acsCapability } = this.topology.table;
    if (acsState[row] !== ACS_PRESENT) {
      throw new InputError({
        source: bdf,
        cause: "this function has no ACS capability as far as the capture shows",
        remedy: "Choose a function with ACS",
      });
    }
    this.fabric.setAcsControl(row, bits & (acsCapability[row] as number) & 0x7f);
  }

  /**
   * Writes Memory Space Enable and Bus Master Enable of a function, as `setpci` would. Opening a driver does
   * so by itself.
   */
  setCommand(bdf: string, bits: CommandBits): void {
    this.fabric.setCommand([this.topology.require(bdf)], bits);
  }

  /**
   * The function's config space as the processors read and write it. `InputError` when none was captured.
   */
  configSpace(bdf: string): ConfigSpace {
    return new ConfigSpace(this.topology.require(bdf), this.fabric, this.hotPlug);
  }

  /**
   * Takes a card out in good order: the function with everything that shares its slot. `WRONG_ORDER` while
   * a driver has one of its functions open, `DEVICE_GONE` when it is out already.
   */
  remove(bdf: string): void {
    this.hotPlug.remove(this.topology.require(bdf));
  }

  /**
   * The card is gone from one moment to the next. Requests to it read as all ones or vanish, its own get
   * nowhere, its interrupts are lost; drivers are not told. `DEVICE_GONE` when it is out already.
   */
  surpriseRemove(bdf: string): void {
    this.hotPlug.surpriseRemove(this.topology.require(bdf));
  }

  /**
   * Puts the same card back, in the state after power-on: nothing enabled, its models reset. Addresses and
   * ACS bits are as before, as a kernel gives them again. `WRONG_ORDER` when it is not out, or its slot is.
   */
  insert(bdf: string): void {
    this.hotPlug.insert(this.topology.require(bdf));
  }

  /**
   * Function-level reset, with what the kernel restores afterwards (`pci_reset_function`, Linux 6.12): the model
   * is as after power-on, its work is gone, its address still answers, and it is no bus master. Virtual
   * functions are reset with their physical function. `DEVICE_GONE` when it was taken out.
   */
  resetFunction(bdf: string): void {
    this.hotPlug.reset(this.topology.require(bdf));
  }

  /** Another root complex from the next request on. `InputError` when there is no such profile. */
  setRootComplex(profile: RootComplexProfile): void {
    this.fabric.setProfile(checkedProfile(profile));
  }

  /** An IOMMU translates from the next request on. `WRONG_ORDER` when one does already. */
  installIommu(iommu: Iommu): void {
    if (this.fabric.iommu !== undefined) {
      throw new PeerbufError("WRONG_ORDER", "the machine has an IOMMU at work already");
    }
    this.fabric.setIommu(iommu);
  }

  /** Does nothing when it is not the one at work. */
  removeIommu(iommu: Iommu): void {
    if (this.fabric.iommu === iommu) {
      this.fabric.setIommu(undefined);
    }
  }

  /** The function's interrupt vectors, by row. */
  interruptsOf(row: number): InterruptLines {
    let lines = this.#interrupts.get(row);
    if (lines === undefined) {
      const bdf = this.topology.bdfOf(row);
      lines = new InterruptLines(bdf, this.clock.lane(driverLane(bdf)), this.failures);
      this.#interrupts.set(row, lines);
    }
    return lines;
  }

  /** What was given out and not given back. */
  handles(): HandleCounts {
    let interruptHandlers = 0;
    for (const lines of this.#interrupts.values()) {
      interruptHandlers += lines.handlerCount;
    }
    return {
      mappings: this.ledger.mappings,
      coherent: this.ledger.coherent,
      hostAllocations: this.memory.liveAllocations,
      hostPages: this.memory.livePages,
      interruptHandlers,
    };
  }

  #setWrappers(wrappers: readonly PortWrapper[]): void {
    this.#wrappers = wrappers;
    for (const slot of this.#slots.values()) {
      this.#plug(slot);
    }
  }

  #plug(slot: DeviceSlot): void {
    slot.socket.plug = this.#wrappers.reduce<DevicePort>((port, wrap) => wrap(port), slot.link);
  }
}

function memorySizes(
  topology: Topology,
  sizes: number | readonly number[] = MEMORY_BYTES_DEFAULT,
): readonly number[] {
  if (typeof sizes !== "number") {
    return sizes;
  }
  const nodes = [
    ...topology.facts.numaNodes.map(({ id }) => id),
    ...topology.table.numaNode,
  ].reduce((one, other) => Math.max(one, other), 0);
  return new Array<number>(nodes + 1).fill(sizes);
}

function busOffsets(topology: Topology, byRoot: Readonly<Record<string, number>>): Float64Array {
  const offsets = new Float64Array(topology.rootBuses.length);
  for (const [id, offset] of Object.entries(byRoot)) {
    const index = topology.rootBuses.findIndex((root) => root.id === id);
    if (index < 0 || !Number.isSafeInteger(offset) || offset < 0) {
      throw new InputError({
        source: `busOffset ${id}`,
        cause: index < 0 ? "there is no such root bus" : `${offset} is no distance in bytes`,
        remedy: `Root buses: ${topology.rootBuses.map((root) => root.id).join(", ")}`,
      });
    }
    offsets[index] = offset;
  }
  return offsets;
}
