/**
 * Fit scenario: a scenario held against the machine it is to run on.
 *
 * Every name becomes the canonical BDF of a function that exists and has the right model, so that
 * nothing behind it has to look again.
 */
import { InputError } from "@peerbuf/core";
import type { Topology } from "@peerbuf/topology";
import {
  type DeviceChoice,
  NAMESPACE_BYTES_DEFAULT,
  type Scenario,
  SYSTEM_HEAP,
  type TransferPlan,
} from "./scenario.ts";
import type { FieldPath, ScenarioFile } from "./scenario-file.ts";

/** @throws InputError at the first field that does not fit */
export function fitScenario(file: ScenarioFile, topology: Topology): Scenario {
  return new Fitting(file, topology).scenario();
}

/** Makes what an outer layer refuses about a value an error at its field. */
export function atField<T>(file: ScenarioFile, path: FieldPath, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw blame(file, path, error);
  }
}

export function blame(file: ScenarioFile, path: FieldPath, error: unknown): unknown {
  if (!(error instanceof InputError)) {
    return error;
  }
  const { source, place, cause, remedy } = error.problem;
  const what = place === undefined ? source : `${source}: ${place}`;
  return file.problem(path, `${what}: ${cause}`, remedy);
}

class Fitting {
  readonly #file: ScenarioFile;
  readonly #topology: Topology;
  readonly #devices = new Map<string, DeviceChoice>();
  /** Where a name was used first. */
  readonly #names = new Set<string>();

  constructor(file: ScenarioFile, topology: Topology) {
    this.#file = file;
    this.#topology = topology;
  }

  scenario(): Scenario {
    const { scenario } = this.#file;
    for (const [name, choice] of Object.entries(scenario.devices)) {
      this.#addDevice(name, choice);
    }
    const transfers = scenario.transfers.map((plan, index) => this.#transfer(plan, index));
    return { ...scenario, devices: Object.fromEntries(this.#devices), transfers };
  }

  #addDevice(name: string, choice: DeviceChoice): void {
    const path = ["devices", name];
    const bdf = this.#bdf(name, path);
    if (this.#topology.isBridge(this.#topology.indexOf(bdf))) {
      throw this.#file.problem(path, `${bdf} is a bridge`, "Models go behind endpoints");
    }
    if (this.#devices.has(bdf)) {
      throw this.#file.problem(path, `${bdf} has a model already`, "Name each function once");
    }
    this.#devices.set(bdf, choice);
  }

  #transfer(plan: TransferPlan, index: number): TransferPlan {
    const at = ["transfers", index];
    if (this.#names.has(plan.name)) {
      const cause = `another transfer is called "${plan.name}"`;
      throw this.#file.problem([...at, "name"], cause, "Give each a name of its own");
    }
    this.#names.add(plan.name);
    const fitted = {
      ...plan,
      exporter: this.#exporter(plan.exporter, [...at, "exporter"]),
      importer: this.#importer(plan, plan.importer, [...at, "importer"]),
      ...(plan.remote !== undefined && { remote: this.#remote(plan, [...at, "remote"]) }),
    };
    this.#checkWishes(fitted, at);
    this.#checkNamespace(fitted, at);
    return fitted;
  }

  #remote(plan: TransferPlan, at: FieldPath): TransferPlan["remote"] {
    const { remote } = plan;
    if (remote === undefined || !plan.operation.startsWith("rdma-")) {
      const cause = `${plan.operation} has no other end`;
      throw this.#file.problem(at, cause, "Remove it, or choose an RDMA operation");
    }
    const exporter = this.#exporter(remote.exporter, [...at, "exporter"]);
    if (remote.place !== undefined && exporter === SYSTEM_HEAP) {
      throw this.#notVram([...at, "place"]);
    }
    return {
      ...remote,
      exporter,
      importer: this.#importer(plan, remote.importer, [...at, "importer"]),
    };
  }

  #exporter(name: string, path: FieldPath): string {
    return name === SYSTEM_HEAP ? name : this.#device(name, "gpu", path);
  }

  #importer({ operation }: TransferPlan, name: string, path: FieldPath): string {
    return this.#device(name, operation.startsWith("nvme-") ? "nvme" : "rdma", path);
  }

  #device(name: string, model: DeviceChoice["model"], path: FieldPath): string {
    const bdf = this.#bdf(name, path);
    const choice = this.#devices.get(bdf);
    if (choice?.model !== model) {
      const cause =
        choice === undefined
          ? `${bdf} is not among the devices`
          : `${bdf} has the model ${choice.model}, a ${model} is needed here`;
      throw this.#file.problem(path, cause, `Add it to devices with model: ${model}`);
    }
    return bdf;
  }

  #bdf(name: string, path: FieldPath): string {
    return atField(this.#file, path, () => this.#topology.bdfOf(this.#topology.require(name)));
  }

  /** The heap has pages and no choice. */
  #checkWishes({ exporter, buffer }: TransferPlan, at: FieldPath): void {
    const wish = (["place", "shareable", "compressed"] as const).find(
      (name) => buffer[name] !== undefined,
    );
    if (exporter === SYSTEM_HEAP && wish !== undefined) {
      throw this.#notVram([...at, "buffer", wish]);
    }
  }

  #notVram(path: FieldPath): InputError {
    return this.#file.problem(
      path,
      "only a GPU's buffers have it",
      "Remove it, or export from a GPU",
    );
  }

  #checkNamespace({ importer, buffer }: TransferPlan, at: FieldPath): void {
    const choice = this.#devices.get(importer);
    if (choice?.model !== "nvme") {
      return;
    }
    const capacityBytes = choice.namespace ?? NAMESPACE_BYTES_DEFAULT;
    if (buffer.size > capacityBytes) {
      const cause = `${buffer.size} bytes are more than the drive's namespace of ${capacityBytes}`;
      throw this.#file.problem([...at, "buffer", "size"], cause, "Enlarge devices.*.namespace");
    }
  }
}
