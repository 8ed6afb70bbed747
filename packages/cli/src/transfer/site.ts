/**
 * Site: one modelled machine of a scenario with its devices in it and their drivers opened.
 *
 * The only place of the command that chooses a platform. Everything in it is closed together.
 */
import { existsSync } from "node:fs";
import { createFramework, type Device, type Framework, type OpenedExporter } from "@peerbuf/core";
import { gpu, nvmeCmb, systemHeap } from "@peerbuf/exporters";
import { type Nvme, nvme, type PeerOptions, type Rdma, rdma } from "@peerbuf/importers";
import {
  createGpu,
  createMachine,
  createModelledPlatform,
  createNvmeController,
  createRdmaNic,
  type Machine,
  type NvmeController,
  type RdmaWire,
  type VirtualClock,
} from "@peerbuf/machine";
import { createJudge, type KernelRules, type Topology } from "@peerbuf/topology";
import { pathFrom } from "../machine-source.ts";
import {
  type DeviceChoice,
  type MachinePlan,
  NAMESPACE_BYTES_DEFAULT,
  type PeerChoice,
} from "../scenario/machine-plan.ts";
import { SYSTEM_HEAP } from "../scenario/transfer-plan.ts";
import { fileMedium, type Medium, memoryMedium } from "./medium.ts";
import { type TracedPlatform, tracePlatform } from "./traced-platform.ts";
import { trusting } from "./trusting-judge.ts";

/** A drive with its driver, and its medium for the instruments. */
export interface Drive {
  readonly device: Device;
  readonly api: Nvme;
  readonly medium: Medium;
}

/** A NIC with its driver. All of a rig are on one wire. */
export interface Nic {
  readonly device: Device;
  readonly api: Rdma;
}

/** What the machines of a scenario have in common. */
export interface Shared {
  readonly clock: VirtualClock;
  readonly wire: RdmaWire;
  /** Relative paths start here. */
  readonly folder: string;
}

export class Site implements Disposable {
  readonly name: string;
  readonly machine: Machine;
  readonly traced: TracedPlatform;
  readonly framework: Framework;
  readonly #exporters = new Map<string, OpenedExporter<object>>();
  readonly #drives = new Map<string, Drive>();
  readonly #nics = new Map<string, Nic>();
  readonly #files: NvmeController[] = [];
  readonly #shared: Shared;

  /** An empty machine with a system heap. `InputError` when the plan does not fit the topology. */
  constructor(
    name: string,
    topology: Topology,
    rules: KernelRules,
    plan: MachinePlan,
    shared: Shared,
  ) {
    const { machine, trust } = plan;
    this.name = name;
    this.#shared = shared;
    this.machine = createMachine({
      topology,
      clock: shared.clock,
      ...(machine?.memory?.perNode !== undefined && {
        memoryBytesPerNode: machine.memory.perNode,
      }),
      ...(machine?.memory?.pages !== undefined && { pagePlacement: machine.memory.pages }),
      ...(machine?.rootComplex !== undefined && { rootComplex: machine.rootComplex }),
      ...(machine?.busOffset !== undefined && { busOffset: machine.busOffset }),
      ...(machine?.seed !== undefined && { seed: machine.seed }),
    });
    for (const [bdf, bits] of Object.entries(machine?.acsControl ?? {})) {
      this.machine.setAcsControl(bdf, bits);
    }
    const dma = machine?.dma === undefined ? {} : { dma: machine.dma };
    this.traced = tracePlatform(createModelledPlatform(this.machine, dma));
    this.framework = createFramework({
      platform: this.traced.platform,
      judge: trusting(trust ?? "rules", createJudge(topology, rules)),
    });
    this.#exporters.set(SYSTEM_HEAP, this.framework.openExporter(systemHeap, undefined, undefined));
  }

  /** Places a model behind a function and opens its driver. `InputError` when it does not fit. */
  add(bdf: string, choice: DeviceChoice): void {
    switch (choice.model) {
      case "gpu":
        this.#addGpu(bdf, choice.vram);
        break;
      case "nvme":
        this.#addDrive(bdf, choice);
        break;
      case "rdma":
        this.#addNic(bdf, choice);
        break;
    }
  }

  /** The driver that owns memory: a GPU or a drive with a memory buffer by BDF, or the system heap. */
  exporter(local: string): OpenedExporter<object> {
    return found(this.#exporters, local);
  }

  drive(local: string): Drive {
    return found(this.#drives, local);
  }

  nic(local: string): Nic {
    return found(this.#nics, local);
  }

  [Symbol.dispose](): void {
    try {
      this.framework.close();
    } finally {
      for (const drive of this.#files) {
        drive.close();
      }
    }
  }

  #addGpu(bdf: string, vramBytes: number | undefined): void {
    this.machine.place(bdf, createGpu(vramBytes === undefined ? {} : { vramBytes }));
    this.#exporters.set(bdf, this.framework.openExporter(gpu, bdf, undefined));
  }

  #addDrive(bdf: string, choice: DeviceChoice & { model: "nvme" }): void {
    const capacityBytes = choice.namespace ?? NAMESPACE_BYTES_DEFAULT;
    const memoryBuffer = choice.memoryBuffer === true;
    const path = choice.file && pathFrom(this.#shared.folder, choice.file);
    const controller = createNvmeController({
      capacityBytes,
      memoryBuffer,
      ...(path !== undefined && { file: { path, create: !existsSync(path) } }),
    });
    this.#files.push(controller);
    this.machine.place(bdf, controller);
    const { api } = this.framework.openImporter(nvme, bdf, stated(choice));
    const device = this.framework.platform.device(bdf);
    const medium =
      path === undefined ? memoryMedium(controller.inspect().namespace) : fileMedium(path);
    this.#drives.set(bdf, { device, api, medium });
    if (memoryBuffer) {
      this.#exporters.set(bdf, this.framework.openExporter(nvmeCmb, bdf, undefined));
    }
  }

  #addNic(bdf: string, choice: DeviceChoice & { model: "rdma" }): void {
    this.machine.place(bdf, createRdmaNic({ wire: this.#shared.wire }));
    const { api } = this.framework.openImporter(rdma, bdf, stated(choice));
    this.#nics.set(bdf, { device: this.framework.platform.device(bdf), api });
  }
}

/** The scenario was checked against its devices, so a missing one is our mistake. */
function found<T>(devices: ReadonlyMap<string, T>, name: string): T {
  const device = devices.get(name);
  if (device === undefined) {
    throw new Error(`peerbuf invariant broken: ${name} was not opened`);
  }
  return device;
}

/** Options without those that were left out: drivers tell "not stated" from "undefined". */
function stated({ peerToPeer, peerSegmentsMax }: PeerChoice): PeerOptions {
  return {
    ...(peerToPeer !== undefined && { peerToPeer }),
    ...(peerSegmentsMax !== undefined && { peerSegmentsMax }),
  };
}
