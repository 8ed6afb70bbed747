/**
 * Scenario run: a scenario in code, transfer by transfer, for test harnesses.
 *
 * The same machines, drivers and evidence as `peerbuf run`. A transfer that fails is an outcome, not an
 * exception; what throws is a scenario that cannot be read or does not fit its machines.
 */
import { resolve } from "node:path";
import { PeerbufError } from "@peerbuf/core";
import type { Machine } from "@peerbuf/machine";
import { fitScenario } from "../scenario/fit-scenario.ts";
import { openCaptures } from "../scenario/open-captures.ts";
import { readScenarioFile, ScenarioFile } from "../scenario/scenario-file.ts";
import type { Outcome } from "./outcome.ts";
import type { Replacements } from "./replacements.ts";
import { Rig } from "./rig.ts";
import { runTransfer } from "./run-transfer.ts";

export interface ScenarioOptions extends Replacements {
  /** Where relative paths of a scenario that is no file start; the working directory unless told. */
  readonly folder?: string;
  /** Whose P2PDMA rules, instead of the scenario's. */
  readonly kernel?: string;
}

export interface ScenarioRun extends AsyncDisposable {
  /** Names of the transfers, in order. */
  readonly transfers: readonly string[];
  /** A machine of the scenario by its name; the only one without. `ARGUMENT_INVALID` when there is none. */
  machine(name?: string): Machine;
  /** Runs one transfer, as often as wanted. `ARGUMENT_INVALID` when none has this name. */
  transfer(name: string): Promise<Outcome>;
  /** Runs all of them in order. */
  all(): Promise<Outcome[]>;
  /** Closes drivers and files. Throws `HANDLE_LEAKED` when something was not given back. */
  close(): Promise<void>;
}

/**
 * Builds the machines of a scenario and opens its drivers. `scenario`: a path, or the scenario itself as a value
 * of the same shape as a file's. `InputError` names what cannot be read or does not fit.
 */
export async function openScenario(
  scenario: string | object,
  options: ScenarioOptions = {},
): Promise<ScenarioRun> {
  const cwd = process.cwd();
  const file =
    typeof scenario === "string"
      ? await readScenarioFile(scenario, cwd)
      : new ScenarioFile("the scenario", JSON.stringify(scenario, null, 2));
  const folder =
    typeof scenario === "string" ? resolve(cwd, scenario, "..") : (options.folder ?? cwd);
  const fitted = fitScenario(file, await openCaptures(file, folder));
  return new LiveRun(new Rig(file, fitted, folder, options.kernel, options));
}

class LiveRun implements ScenarioRun {
  readonly #rig: Rig;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  get transfers(): readonly string[] {
    return this.#rig.transfers.map(({ name }) => name);
  }

  machine(name = ""): Machine {
    const site = this.#rig.sites.find((each) => each.name === name);
    if (site === undefined) {
      const known = this.#rig.sites.map((each) => `"${each.name}"`).join(", ");
      throw new PeerbufError("ARGUMENT_INVALID", `no machine is called "${name}", but ${known}`);
    }
    return site.machine;
  }

  async transfer(name: string): Promise<Outcome> {
    const index = this.transfers.indexOf(name);
    const plan = this.#rig.transfers[index];
    if (plan === undefined) {
      throw new PeerbufError("ARGUMENT_INVALID", `no transfer is called "${name}"`);
    }
    return await runTransfer(this.#rig, plan, index + 1);
  }

  async all(): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const name of this.transfers) {
      outcomes.push(await this.transfer(name));
    }
    return outcomes;
  }

  async close(): Promise<void> {
    this.#rig[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
