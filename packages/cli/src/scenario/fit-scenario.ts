/**
 * Fit scenario: a scenario held against the machines it is to run on.
 *
 * Every place becomes `BDF`, or `machine/BDF` where machines have names, of a function that has the
 * right model on the right machine, so that nothing behind it has to look again.
 */
import type { InputError } from "@peerbuf/core";
import type { Topology } from "@peerbuf/topology";
import { bdfAt, type FittedDevice, type FittedMachine, fitMachine } from "./fit-machine.ts";
import { type DeviceChoice, NAMESPACE_BYTES_DEFAULT } from "./machine-plan.ts";
import { joinPlace, splitPlace } from "./place-name.ts";
import type { FieldPath, ScenarioFile } from "./scenario-file.ts";
import { type RemotePlan, SYSTEM_HEAP, type TransferPlan } from "./transfer-plan.ts";

export interface FittedScenario {
  readonly machines: ReadonlyMap<string, FittedMachine>;
  readonly transfers: readonly TransferPlan[];
}

/**
 * `topologies`: of each machine, by name.
 * @throws InputError at the first field that does not fit
 */
export function fitScenario(
  file: ScenarioFile,
  topologies: ReadonlyMap<string, Topology>,
): FittedScenario {
  const machines = new Map<string, FittedMachine>();
  for (const [name, plan] of Object.entries(file.scenario.machines)) {
    machines.set(name, fitMachine(file, name, plan, topologies.get(name) as Topology));
  }
  const fitting = new TransferFitting(file, machines);
  return { machines, transfers: file.scenario.transfers.map((plan, at) => fitting.fit(plan, at)) };
}

/** A function with a model, or a heap. */
interface Place {
  readonly machine: string;
  readonly name: string;
  readonly device: FittedDevice | undefined;
}

class TransferFitting {
  readonly #file: ScenarioFile;
  readonly #machines: ReadonlyMap<string, FittedMachine>;
  readonly #names = new Set<string>();

  constructor(file: ScenarioFile, machines: ReadonlyMap<string, FittedMachine>) {
    this.#file = file;
    this.#machines = machines;
  }

  fit(plan: TransferPlan, index: number): TransferPlan {
    const at = ["transfers", index];
    this.#requireNewName(plan.name, at);
    const exporter = this.#exporter(plan.exporter, [...at, "exporter"]);
    const importer = this.#importer(plan, plan.importer, [...at, "importer"]);
    this.#requireOneMachine(exporter, importer, [...at, "importer"]);
    this.#checkWishes(plan, exporter, at);
    this.#checkNamespace(plan, importer, at);
    const { remote, ...rest } = plan;
    return {
      ...rest,
      exporter: exporter.name,
      importer: importer.name,
      ...(remote !== undefined && { remote: this.#remote(plan, remote, [...at, "remote"]) }),
    };
  }

  #requireNewName(name: string, at: FieldPath): void {
    if (this.#names.has(name)) {
      const cause = `another transfer is called "${name}"`;
      throw this.#file.problem([...at, "name"], cause, "Give each a name of its own");
    }
    this.#names.add(name);
  }

  #remote(plan: TransferPlan, remote: RemotePlan, at: FieldPath): RemotePlan {
    if (!plan.operation.startsWith("rdma-")) {
      const cause = `${plan.operation} has no other end`;
      throw this.#file.problem(at, cause, "Remove it, or choose an RDMA operation");
    }
    const exporter = this.#exporter(remote.exporter, [...at, "exporter"]);
    if (remote.place !== undefined && modelOf(exporter) !== "gpu") {
      throw this.#notVram([...at, "place"]);
    }
    const importer = this.#importer(plan, remote.importer, [...at, "importer"]);
    this.#requireOneMachine(exporter, importer, [...at, "importer"]);
    const drive =
      remote.drive === undefined ? undefined : this.#drive(plan, remote.drive, exporter, at);
    return {
      importer: importer.name,
      exporter: exporter.name,
      ...(remote.place !== undefined && { place: remote.place }),
      ...(drive !== undefined && { drive }),
    };
  }

  #drive(plan: TransferPlan, name: string, exporter: Place, at: FieldPath): string {
    const drive = this.#require(name, "nvme", [...at, "drive"]);
    this.#requireOneMachine(exporter, drive, [...at, "drive"]);
    this.#checkNamespace(plan, drive, at.slice(0, -1));
    return drive.name;
  }

  #exporter(name: string, path: FieldPath): Place {
    const place = this.#find(name, path);
    if (place.device === undefined) {
      return place;
    }
    const { choice } = place.device;
    const hasBuffer = choice.model === "nvme" && choice.memoryBuffer === true;
    return hasBuffer ? place : this.#require(name, "gpu", path);
  }

  #importer({ operation }: TransferPlan, name: string, path: FieldPath): Place {
    return this.#require(name, operation.startsWith("nvme-") ? "nvme" : "rdma", path);
  }

  /** A function with this model. */
  #require(name: string, model: DeviceChoice["model"], path: FieldPath): Place {
    const place = this.#find(name, path);
    const found = modelOf(place);
    if (found !== model) {
      const cause =
        found === undefined
          ? `${place.name} is memory without a device, a ${model} is needed here`
          : `${place.name} has the model ${found}, a ${model} is needed here`;
      throw this.#file.problem(path, cause, `Add it to devices with model: ${model}`);
    }
    return place;
  }

  #find(text: string, path: FieldPath): Place {
    const { machine, local } = splitPlace(text);
    const found = this.#machines.get(machine);
    if (found === undefined) {
      const known = [...this.#machines.keys()];
      const cause = known.includes("")
        ? "this scenario's machine has no name"
        : `"${machine}" is none of this scenario's machines`;
      const remedy = known.includes("")
        ? 'Write the address alone, such as "13:00.0"'
        : `Write machine and address, such as "${known[0]}/13:00.0"`;
      throw this.#file.problem(path, cause, remedy);
    }
    if (local === SYSTEM_HEAP) {
      return { machine, name: joinPlace(machine, local), device: undefined };
    }
    const bdf = bdfAt(this.#file, found.topology, local, path);
    const device = found.devices.get(bdf);
    const name = joinPlace(machine, bdf);
    if (device === undefined) {
      const cause = `${name} is not among the devices`;
      throw this.#file.problem(path, cause, "Add it to devices with its model");
    }
    return { machine, name, device };
  }

  /** Memory is shared within a machine; between machines bytes are sent. */
  #requireOneMachine(one: Place, other: Place, path: FieldPath): void {
    if (one.machine !== other.machine) {
      const cause = `${other.name} cannot share memory of ${one.name}: they are in two machines`;
      throw this.#file.problem(
        path,
        cause,
        "Name both of one machine; NICs carry bytes to another",
      );
    }
  }

  /** Heaps and drives have memory and no choice. */
  #checkWishes({ buffer }: TransferPlan, exporter: Place, at: FieldPath): void {
    const wish = (["place", "shareable", "compressed"] as const).find(
      (name) => buffer[name] !== undefined,
    );
    if (modelOf(exporter) !== "gpu" && wish !== undefined) {
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

  #checkNamespace({ buffer }: TransferPlan, { device }: Place, at: FieldPath): void {
    if (device?.choice.model !== "nvme") {
      return;
    }
    const capacityBytes = device.choice.namespace ?? NAMESPACE_BYTES_DEFAULT;
    if (buffer.size > capacityBytes) {
      const cause = `${buffer.size} bytes are more than the drive's namespace of ${capacityBytes}`;
      throw this.#file.problem([...at, "buffer", "size"], cause, "Enlarge devices.*.namespace");
    }
  }
}

const modelOf = ({ device }: Place): string | undefined => device?.choice.model;
