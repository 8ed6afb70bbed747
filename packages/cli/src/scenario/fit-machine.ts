/**
 * Fit machine: one machine's devices and links held against its capture.
 *
 * Every name becomes the canonical BDF of an endpoint that exists, so that nothing behind it has to
 * look again.
 */
import type { Topology } from "@peerbuf/topology";
import type { DeviceChoice, MachinePlan } from "./machine-plan.ts";
import { atField, type FieldPath, type ScenarioFile } from "./scenario-file.ts";

/** A machine of a scenario with its capture. */
export interface FittedMachine {
  /** "" for the only one of a scenario without names. */
  readonly name: string;
  readonly topology: Topology;
  readonly plan: MachinePlan;
  /** By canonical BDF. */
  readonly devices: ReadonlyMap<string, FittedDevice>;
  /** Where it stands in the file. */
  readonly path: FieldPath;
}

export interface FittedDevice {
  readonly choice: DeviceChoice;
  readonly path: FieldPath;
}

/** @throws InputError at the first device or link that does not fit */
export function fitMachine(
  file: ScenarioFile,
  name: string,
  plan: MachinePlan,
  topology: Topology,
): FittedMachine {
  const path = machinePath(name);
  const devices = new Map<string, FittedDevice>();
  for (const [given, choice] of Object.entries(plan.devices)) {
    const at = [...path, "devices", given];
    const bdf = bdfAt(file, topology, given, at);
    if (topology.isBridge(topology.indexOf(bdf))) {
      throw file.problem(at, `${bdf} is a bridge`, "Models go behind endpoints");
    }
    if (devices.has(bdf)) {
      throw file.problem(at, `${bdf} has a model already`, "Name each function once");
    }
    devices.set(bdf, { choice, path: at });
  }
  for (const given of Object.keys(plan.machine?.links?.byFunction ?? {})) {
    bdfAt(file, topology, given, [...path, "machine", "links", "byFunction", given]);
  }
  return { name, topology, plan, devices, path };
}

/** Where a machine's fields stand: at the top, or under its name. */
export const machinePath = (name: string): FieldPath => (name === "" ? [] : ["machines", name]);

/** The canonical address of a function. @throws InputError at the field when there is none */
export const bdfAt = (
  file: ScenarioFile,
  topology: Topology,
  given: string,
  path: FieldPath,
): string => atField(file, path, () => topology.bdfOf(topology.require(given)));
