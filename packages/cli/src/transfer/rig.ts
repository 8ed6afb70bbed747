/**
 * Rig: all machines of a scenario, ready to run: one clock, one wire, drivers open.
 *
 * Everybody behind it names a device by its place, `BDF` or `machine/BDF`, and gets it from the machine it
 * is in. Closed in reverse order.
 */
import type { OpenedExporter } from "@peerbuf/core";
import { RdmaWire, VirtualClock } from "@peerbuf/machine";
import { type KernelRules, rulesForKernel } from "@peerbuf/topology";
import type { FittedMachine } from "../scenario/fit-machine.ts";
import type { FittedScenario } from "../scenario/fit-scenario.ts";
import { splitPlace } from "../scenario/place-name.ts";
import { atField, type ScenarioFile } from "../scenario/scenario-file.ts";
import type { TransferPlan } from "../scenario/transfer-plan.ts";
import { type Drive, type Nic, Site } from "./site.ts";

export class Rig implements Disposable {
  readonly transfers: readonly TransferPlan[];
  readonly clock: VirtualClock = new VirtualClock();
  readonly #sites = new Map<string, Site>();

  /**
   * `folder`: where relative paths start. `kernel`: whose rules, instead of those that the scenario names.
   * @throws InputError at the field that does not fit; nothing stays open then
   */
  constructor(
    file: ScenarioFile,
    scenario: FittedScenario,
    folder: string,
    kernel: string | undefined,
  ) {
    this.transfers = scenario.transfers;
    const shared = { clock: this.clock, wire: new RdmaWire(), folder };
    try {
      for (const machine of scenario.machines.values()) {
        const { name, path, topology, plan } = machine;
        const rules = rulesFor(file, machine, kernel);
        const make = (): Site => new Site(name, topology, rules, plan, shared);
        const site = atField(file, [...path, "machine"], make);
        this.#sites.set(name, site);
        addDevices(file, machine, site);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  get sites(): readonly Site[] {
    return [...this.#sites.values()];
  }

  /** The machine in which a place is. */
  siteOf(place: string): Site {
    const site = this.#sites.get(splitPlace(place).machine);
    if (site === undefined) {
      throw new Error(`peerbuf invariant broken: there is no machine of ${place}`);
    }
    return site;
  }

  exporter(place: string): OpenedExporter<object> {
    return this.siteOf(place).exporter(splitPlace(place).local);
  }

  drive(place: string): Drive {
    return this.siteOf(place).drive(splitPlace(place).local);
  }

  nic(place: string): Nic {
    return this.siteOf(place).nic(splitPlace(place).local);
  }

  /** From here on `lastMappedFor` tells of new mappings only. */
  forget(): void {
    for (const { traced } of this.sites) {
      traced.forget();
    }
  }

  /** No closed buffer waits for work on its bytes any more. */
  async idle(): Promise<void> {
    await Promise.all(this.sites.map(({ framework }) => framework.idle()));
  }

  [Symbol.dispose](): void {
    for (const site of [...this.sites].reverse()) {
      site[Symbol.dispose]();
    }
  }
}

const rulesFor = (
  file: ScenarioFile,
  { plan, path }: FittedMachine,
  kernel: string | undefined,
): KernelRules =>
  kernel === undefined
    ? atField(file, [...path, "kernel"], () => rulesForKernel(plan.kernel))
    : rulesForKernel(kernel);

function addDevices(file: ScenarioFile, { devices }: FittedMachine, site: Site): void {
  for (const [bdf, { choice, path }] of devices) {
    atField(file, path, () => site.add(bdf, choice));
  }
}
