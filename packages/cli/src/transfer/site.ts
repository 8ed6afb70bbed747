/**
 * Site: one machine of a scenario: the modelled hardware with its devices, and the software on it.
 *
 * The only place of the command that chooses a platform. Everything in it is closed together.
 */
import { existsSync } from "node:fs";
import type { Device, Framework, OpenedExporter } from "@peerbuf/core";
import type { Nvme, Rdma } from "@peerbuf/importers";
import {
  createGpu,
  createMachine,
  createNvmeController,
  createRdmaNic,
  type DeviceModel,
  type FaultInjector,
  type FaultRule,
  injectFaults,
  type Machine,
  type NvmeController,
  type RdmaWire,
  type VirtualClock,
} from "@peerbuf/machine";
import type { KernelRules, Topology } from "@peerbuf/topology";
import { pathFrom } from "../path-from.ts";
import { linkOptionsOf } from "../scenario/links-plan.ts";
import {
  type DeviceChoice,
  type HardwarePlan,
  type MachinePlan,
  NAMESPACE_BYTES_DEFAULT,
} from "../scenario/machine-plan.ts";
import { joinPlace } from "../scenario/place-name.ts";
import { fileMedium, type Medium, memoryMedium } from "./medium.ts";
import type { Replacements } from "./replacements.ts";
import { type OpenImporter, Software } from "./software.ts";
import type { TracedPlatform } from "./traced-platform.ts";

/** A drive with its driver, and its medium for the instruments. */
export interface Drive {
  readonly device: Device;
  readonly api: Nvme;
  readonly medium: Medium;
}

export type Nic = OpenImporter<Rdma>;

/** What the machines of a scenario have in common. */
export interface Shared {
  readonly clock: VirtualClock;
  readonly wire: RdmaWire;
  /** Relative paths start here. */
  readonly folder: string;
  readonly replacements: Replacements;
}

interface Placed {
  readonly choice: DeviceChoice;
  readonly model: DeviceModel;
}

export class Site implements Disposable {
  readonly name: string;
  readonly machine: Machine;
  readonly faults: FaultInjector;
  readonly #plan: MachinePlan;
  readonly #rules: KernelRules;
  readonly #shared: Shared;
  readonly #placed = new Map<string, Placed>();
  readonly #media = new Map<string, Medium>();
  readonly #drives: NvmeController[] = [];
  #software: Software;

  /** An empty machine with a system heap. `InputError` when the plan does not fit the topology. */
  constructor(
    name: string,
    topology: Topology,
    rules: KernelRules,
    plan: MachinePlan,
    shared: Shared,
  ) {
    this.name = name;
    this.#plan = plan;
    this.#rules = rules;
    this.#shared = shared;
    this.machine = machineOf(topology, plan.machine ?? {}, shared.clock);
    const { seed } = plan.machine ?? {};
    const { choices } = shared.replacements;
    this.faults = injectFaults(this.machine, {
      ...(seed !== undefined && { seed }),
      ...(choices !== undefined && { choices }),
    });
    this.#software = this.#newSoftware();
  }

  /** Its times are of links that the scenario states, in part or all. */
  get assumesLinks(): boolean {
    return this.#plan.machine?.links !== undefined;
  }

  get framework(): Framework {
    return this.#software.framework;
  }

  get traced(): TracedPlatform {
    return this.#software.traced;
  }

  /** Places a model behind a function and opens its driver. `InputError` when it does not fit. */
  add(bdf: string, choice: DeviceChoice): void {
    const shipped = this.#modelOf(bdf, choice);
    const model =
      this.#shared.replacements.models?.[joinPlace(this.name, bdf)]?.(shipped) ?? shipped;
    this.machine.place(bdf, model);
    this.#placed.set(bdf, { choice, model });
    this.#software.open(bdf, choice);
  }

  exporter(local: string): OpenedExporter<object> {
    return this.#software.exporter(local);
  }

  drive(local: string): Drive {
    const { device, api } = this.#software.drive(local);
    return { device, api, medium: this.#media.get(local) as Medium };
  }

  nic(local: string): Nic {
    return this.#software.nic(local);
  }

  /** Resolves when the drives' controllers are; rejects when one cannot be. */
  async started(): Promise<void> {
    await this.#software.started();
  }

  /** Closes the drivers that move bytes; see `reboot`. */
  endWork(): void {
    this.#software.endWork();
  }

  /**
   * Closes all software, resets the devices and opens it again. Returns what was not given back: each a
   * sentence; empty when everything was.
   */
  reboot(): string[] {
    const left = closed(this.#software, this.machine);
    for (const bdf of this.#placed.keys()) {
      resetIfThere(this.machine, bdf);
    }
    this.#software = this.#newSoftware();
    for (const [bdf, { choice }] of this.#placed) {
      this.#software.tryOpen(bdf, choice);
    }
    return left;
  }

  /** Puts a rule to work. `InputError` when it means nothing here. */
  addFault(rule: FaultRule): { remove(): void } {
    return this.faults.add(rule);
  }

  [Symbol.dispose](): void {
    try {
      this.faults.remove();
      this.#software.close();
    } finally {
      for (const drive of this.#drives) {
        drive.close();
      }
    }
  }

  #newSoftware(): Software {
    const { replacements } = this.#shared;
    return new Software(this.machine, this.#plan, this.#rules, this.faults, replacements);
  }

  #modelOf(bdf: string, choice: DeviceChoice): DeviceModel {
    switch (choice.model) {
      case "gpu":
        return createGpu(choice.vram === undefined ? {} : { vramBytes: choice.vram });
      case "nvme":
        return this.#driveModel(bdf, choice);
      case "rdma":
        return createRdmaNic({ wire: this.#shared.wire });
    }
  }

  #driveModel(bdf: string, choice: DeviceChoice & { model: "nvme" }): DeviceModel {
    const path = choice.file && pathFrom(this.#shared.folder, choice.file);
    const drive = createNvmeController({
      capacityBytes: choice.namespace ?? NAMESPACE_BYTES_DEFAULT,
      memoryBuffer: choice.memoryBuffer === true,
      ...(path !== undefined && { file: { path, create: !existsSync(path) } }),
    });
    this.#drives.push(drive);
    const medium = path === undefined ? memoryMedium(drive.inspect().namespace) : fileMedium(path);
    this.#media.set(bdf, medium);
    return drive;
  }
}

function machineOf(topology: Topology, plan: HardwarePlan, clock: VirtualClock): Machine {
  const { memory, rootComplex, busOffset, links, seed } = plan;
  const machine = createMachine({
    topology,
    clock,
    ...(memory?.perNode !== undefined && { memoryBytesPerNode: memory.perNode }),
    ...(memory?.pages !== undefined && { pagePlacement: memory.pages }),
    ...(rootComplex !== undefined && { rootComplex }),
    ...(busOffset !== undefined && { busOffset }),
    ...(links !== undefined && { links: linkOptionsOf(links) }),
    ...(seed !== undefined && { seed }),
  });
  for (const [bdf, bits] of Object.entries(plan.acsControl ?? {})) {
    machine.setAcsControl(bdf, bits);
  }
  return machine;
}

/** Closes the software; what it held all the same is given back by force and returned. */
function closed(software: Software, machine: Machine): string[] {
  const left: string[] = [];
  try {
    software.close();
  } catch (error) {
    left.push(error instanceof Error ? error.message : String(error));
  }
  for (const [what, count] of Object.entries(machine.handles())) {
    if (count > 0) {
      left.push(`${count} ${what} of the machine are still out`);
    }
  }
  return left;
}

/** A card that was taken out stays out. */
function resetIfThere(machine: Machine, bdf: string): void {
  if (machine.inspect.command(bdf).present) {
    machine.resetFunction(bdf);
  }
}
