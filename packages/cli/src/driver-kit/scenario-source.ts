/**
 * Scenario source: where a worker thread gets the scenarios of somebody's driver: it loads the module itself.
 */
import { isMainThread } from "node:worker_threads";
import { createChecker, type ScenarioSet, type ScenarioSource } from "@peerbuf/testkit";
import { loadDriver } from "./driver-module.ts";
import { scenariosOf } from "./driver-scenes.ts";
import { sendUnheard } from "./unheard.ts";

/** Plain data: it is sent to other threads. */
export interface DriverPlace {
  /** Absolute. */
  readonly path: string;
  readonly exportName: string;
}

/** One driver a thread: modules are loaded once. */
const loaded = new Map<string, Promise<ScenarioSet>>();

/** What the worker thread calls, by its name. */
export function driverScenarios(place: DriverPlace): Promise<ScenarioSet> {
  const key = `${place.exportName} ${place.path}`;
  const known = loaded.get(key) ?? loadedFrom(place);
  loaded.set(key, known);
  return known;
}

async function loadedFrom({ path, exportName }: DriverPlace): Promise<ScenarioSet> {
  if (!isMainThread && loaded.size === 0) {
    sendUnheard();
  }
  const module = await loadDriver(path, exportName);
  return { scenarios: scenariosOf(module), checker: createChecker };
}

export const sourceOf = ({ path, exportName }: DriverPlace): ScenarioSource => ({
  module: import.meta.url,
  name: driverScenarios.name,
  data: { path, exportName },
});
