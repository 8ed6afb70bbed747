/**
 * Rig: a modelled machine with the scenario's devices in it and their drivers opened.
 *
 * The only place of the command that chooses a platform. Everything in it is closed together.
 */
import { createFramework, type Device, type Framework, type OpenedExporter } from "@peerbuf/core";
import { gpu, systemHeap } from "@peerbuf/exporters";
import { type Nvme, nvme, type PeerOptions, type Rdma, rdma } from "@peerbuf/importers";
import {
  createGpu,
  createMachine,
  createModelledPlatform,
  createNvmeController,
  createRdmaNic,
  type Machine,
  RdmaWire,
  type SparseMemory,
} from "@peerbuf/machine";
import { createJudge, type KernelRules, type Topology } from "@peerbuf/topology";
import {
  type DeviceChoice,
  NAMESPACE_BYTES_DEFAULT,
  type PeerChoice,
  type Scenario,
  SYSTEM_HEAP,
} from "../scenario/scenario.ts";
import { type TracedPlatform, tracePlatform } from "./traced-platform.ts";
import { trustAll } from "./trusting-judge.ts";

/** A drive with its driver, and its medium for the instruments. */
export interface Drive {
  readonly device: Device;
  readonly api: Nvme;
  readonly namespace: SparseMemory;
}

/** A NIC with its driver. All of a rig are on one wire. */
export interface Nic {
  readonly device: Device;
  readonly api: Rdma;
}

export class Rig implements Disposable {
  readonly scenario: Scenario;
  readonly machine: Machine;
  readonly traced: TracedPlatform;
  readonly framework: Framework;
  readonly #exporters = new Map<string, OpenedExporter<object>>();
  readonly #drives = new Map<string, Drive>();
  readonly #nics = new Map<string, Nic>();
  readonly #wire = new RdmaWire();

  /** An empty machine with a system heap. `InputError` when the plan does not fit the topology. */
  constructor(topology: Topology, rules: KernelRules, scenario: Scenario) {
    const { machine, trust } = scenario;
    this.scenario = scenario;
    this.machine = createMachine({
      topology,
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
    const judge = createJudge(topology, rules);
    this.framework = createFramework({
      platform: this.traced.platform,
      judge: trust === "assume-p2p" ? trustAll(judge) : judge,
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

  /** The driver that owns memory: a GPU by BDF, or the system heap. */
  exporter(name: string): OpenedExporter<object> {
    return found(this.#exporters, name);
  }

  drive(bdf: string): Drive {
    return found(this.#drives, bdf);
  }

  nic(bdf: string): Nic {
    return found(this.#nics, bdf);
  }

  [Symbol.dispose](): void {
    this.framework.close();
  }

  #addGpu(bdf: string, vramBytes: number | undefined): void {
    this.machine.place(bdf, createGpu(vramBytes === undefined ? {} : { vramBytes }));
    this.#exporters.set(bdf, this.framework.openExporter(gpu, bdf, undefined));
  }

  #addDrive(bdf: string, choice: DeviceChoice & { model: "nvme" }): void {
    const { namespace: capacityBytes = NAMESPACE_BYTES_DEFAULT, model: _, ...options } = choice;
    const controller = createNvmeController({ capacityBytes });
    this.machine.place(bdf, controller);
    const { api } = this.framework.openImporter(nvme, bdf, stated(options));
    const device = this.framework.platform.device(bdf);
    this.#drives.set(bdf, { device, api, namespace: controller.inspect().namespace });
  }

  #addNic(bdf: string, { model: _, ...options }: DeviceChoice & { model: "rdma" }): void {
    this.machine.place(bdf, createRdmaNic({ wire: this.#wire }));
    const { api } = this.framework.openImporter(rdma, bdf, stated(options));
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
