/**
 * Open captures: the topology of each machine of a scenario, by the machine's name.
 */
import type { Topology } from "@peerbuf/topology";
import { CAPTURE_DEFAULT, openCapture } from "../machine-source.ts";
import { machinePath } from "./fit-machine.ts";
import { blame, type ScenarioFile } from "./scenario-file.ts";

/** @throws InputError at the field that names a capture which cannot be read */
export async function openCaptures(
  file: ScenarioFile,
  folder: string,
): Promise<Map<string, Topology>> {
  const topologies = new Map<string, Topology>();
  for (const [name, { capture }] of Object.entries(file.scenario.machines)) {
    try {
      topologies.set(name, await openCapture(capture ?? CAPTURE_DEFAULT, folder));
    } catch (error) {
      throw blame(file, [...machinePath(name), "capture"], error);
    }
  }
  return topologies;
}
