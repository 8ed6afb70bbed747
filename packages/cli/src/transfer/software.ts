/**
 * Software: what runs on a modelled machine: a platform, a framework and the drivers of its devices.
 *
 * Closed and made anew when a driver never came to an end, as a reboot would; the machine below stays. A
 * device whose driver cannot be opened again leaves the others alone: whoever needs it is told why.
 */
import {
  createFramework,
  type Device,
  type Framework,
  type OpenedExporter,
  PeerbufError,
  type Platform,
} from "@peerbuf/core";
import { gpu, nvmeCmb, systemHeap } from "@peerbuf/exporters";
import { type Nvme, nvme, type PeerOptions, type Rdma, rdma } from "@peerbuf/importers";
import { createModelledPlatform, type FaultInjector, type Machine } from "@peerbuf/machine";
import { createJudge, type KernelRules } from "@peerbuf/topology";
import type { DeviceChoice, MachinePlan, PeerChoice } from "../scenario/machine-plan.ts";
import { SYSTEM_HEAP } from "../scenario/transfer-plan.ts";
import type { Replacements } from "./replacements.ts";
import { TracedPlatform } from "./traced-platform.ts";
import { trusting } from "./trusting-judge.ts";

/** An importer's driver, open on a device. */
export interface OpenImporter<Api> {
  readonly device: Device;
  readonly api: Api;
  close(): void;
}

export class Software {
  readonly framework: Framework;
  readonly traced: TracedPlatform;
  readonly #platform: { close(): void };
  readonly #exporters = new Map<string, OpenedExporter<object>>();
  readonly #drives = new Map<string, OpenImporter<Nvme>>();
  readonly #nics = new Map<string, OpenImporter<Rdma>>();
  readonly #replacements: Replacements;
  readonly #missing = new Map<string, PeerbufError>();

  /** A platform and a framework with a system heap. `InputError` when the plan does not fit the machine. */
  constructor(
    machine: Machine,
    plan: MachinePlan,
    rules: KernelRules,
    faults: FaultInjector,
    replacements: Replacements,
  ) {
    this.#replacements = replacements;
    const dma = plan.machine?.dma === undefined ? {} : { dma: plan.machine.dma };
    const modelled = createModelledPlatform(machine, dma);
    const platform: Platform = faults.platform(modelled);
    this.#platform = modelled;
    this.traced = new TracedPlatform(platform);
    this.framework = createFramework({
      platform: this.traced.platform,
      judge: trusting(plan.trust ?? "rules", createJudge(machine.topology, rules)),
    });
    this.#exporters.set(SYSTEM_HEAP, this.framework.openExporter(systemHeap, undefined, undefined));
  }

  /** Opens the drivers of a device. Throws what they refuse; then the device has none. */
  open(bdf: string, choice: DeviceChoice): void {
    switch (choice.model) {
      case "gpu":
        this.#exporters.set(
          bdf,
          this.framework.openExporter(this.#replacements.gpu ?? gpu, bdf, undefined),
        );
        break;
      case "nvme":
        this.#openDrive(bdf, choice);
        break;
      case "rdma": {
        const opened = this.framework.openImporter(
          this.#replacements.rdma ?? rdma,
          bdf,
          stated(choice),
        );
        this.#nics.set(bdf, this.#onDevice(bdf, opened));
        break;
      }
    }
  }

  /** As `open`; what the drivers refuse is what everybody is told who needs the device. */
  tryOpen(bdf: string, choice: DeviceChoice): void {
    try {
      this.open(bdf, choice);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      const text = `${bdf}: its driver could not be opened again: ${what}`;
      this.#missing.set(bdf, new PeerbufError("DEVICE_GONE", text, { cause: error }));
    }
  }

  /** The driver that owns memory: a GPU or a drive with a memory buffer by BDF, or the system heap. */
  exporter(local: string): OpenedExporter<object> {
    return this.#found(this.#exporters, local);
  }

  drive(local: string): OpenImporter<Nvme> {
    return this.#found(this.#drives, local);
  }

  nic(local: string): OpenImporter<Rdma> {
    return this.#found(this.#nics, local);
  }

  /** Drives start by themselves after they were opened: resolves when all have. */
  async started(): Promise<void> {
    await Promise.all([...this.#drives.values()].map(({ api }) => api.identity()));
  }

  /** Closes the drivers that move bytes: what they have under way ends. What they throw is their affair. */
  endWork(): void {
    for (const { close } of [...this.#drives.values(), ...this.#nics.values()]) {
      try {
        close();
      } catch {
        // A driver that cannot even be closed: what it holds is named when the framework closes.
      }
    }
  }

  /** Throws `HANDLE_LEAKED` with what was not given back; it is then. */
  close(): void {
    try {
      this.framework.close();
    } finally {
      this.#platform.close();
    }
  }

  #openDrive(bdf: string, choice: DeviceChoice & { model: "nvme" }): void {
    const opened = this.framework.openImporter(
      this.#replacements.nvme ?? nvme,
      bdf,
      stated(choice),
    );
    this.#drives.set(bdf, this.#onDevice(bdf, opened));
    if (choice.memoryBuffer === true) {
      this.#exporters.set(bdf, this.framework.openExporter(nvmeCmb, bdf, undefined));
    }
  }

  #onDevice<Api>(bdf: string, opened: { api: Api; close(): void }): OpenImporter<Api> {
    const { api } = opened;
    return { device: this.framework.platform.device(bdf), api, close: () => opened.close() };
  }

  /** The scenario was checked against its devices, so one that is missing without a reason is our mistake. */
  #found<T>(drivers: ReadonlyMap<string, T>, name: string): T {
    const driver = drivers.get(name);
    if (driver === undefined) {
      throw (
        this.#missing.get(name) ?? new Error(`peerbuf invariant broken: ${name} was not opened`)
      );
    }
    return driver;
  }
}

/** Options without those that were left out: drivers tell "not stated" from "undefined". */
function stated({ peerToPeer, peerSegmentsMax }: PeerChoice): PeerOptions {
  return {
    ...(peerToPeer !== undefined && { peerToPeer }),
    ...(peerSegmentsMax !== undefined && { peerSegmentsMax }),
  };
}
