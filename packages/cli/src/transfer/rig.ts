/**
 * Rig: all machines of a scenario, ready to run: one clock, one wire, drivers open.
 *
 * Everybody behind it names a device by its place, `BDF` or `machine/BDF`, and gets it from the machine it
 * is in. Closed in reverse order.
 */
import { InputError, type OpenedExporter, PeerbufError } from "@peerbuf/core";
import { RdmaWire, VirtualClock } from "@peerbuf/machine";
import { type KernelRules, rulesForKernel } from "@peerbuf/topology";
import type { FittedMachine } from "../scenario/fit-machine.ts";
import type { FittedScenario } from "../scenario/fit-scenario.ts";
import type { DeviceChoice } from "../scenario/machine-plan.ts";
import { joinPlace, splitPlace } from "../scenario/place-name.ts";
import { atField, type ScenarioFile } from "../scenario/scenario-file.ts";
import type { TransferPlan } from "../scenario/transfer-plan.ts";
import { type PlannedFault, plannedFaults } from "./planned-fault.ts";
import type { Replacements } from "./replacements.ts";
import { type Drive, type Nic, Site } from "./site.ts";
import { endsWithin } from "./time-limit.ts";

/** Longer than any driver waits for its device. */
const IDLE_LIMIT_NS = 120e9;
/** Events of one moment; a transfer of 1 GiB has some thousands in a moment. */
const EVENTS_PER_MOMENT_MAX = 1_000_000;
/** Thrown things kept. */
const THROWN_MAX = 64;

export class Rig implements Disposable {
  readonly transfers: readonly TransferPlan[];
  readonly clock: VirtualClock = new VirtualClock(EVENTS_PER_MOMENT_MAX);
  /** What events of drivers threw that nobody else could be told, since it was last emptied. */
  readonly thrown: unknown[] = [];
  #runaway: PeerbufError | undefined;
  readonly #sites = new Map<string, Site>();
  readonly #faults: PlannedFault[] = [];
  /** Their drivers were closed: they need new software. */
  readonly #ended = new Set<Site>();

  /**
   * `folder`: where relative paths start. `kernel`: whose rules, instead of those that the scenario names.
   * @throws InputError at the field that does not fit; nothing stays open then
   */
  constructor(
    file: ScenarioFile,
    scenario: FittedScenario,
    folder: string,
    kernel: string | undefined,
    replacements: Replacements = {},
  ) {
    this.transfers = scenario.transfers;
    this.clock.onFailure = (error) => this.#heard(error);
    const shared = { clock: this.clock, wire: new RdmaWire(), folder, replacements };
    try {
      for (const machine of scenario.machines.values()) {
        const { name, path, topology, plan } = machine;
        const rules = rulesFor(file, machine, kernel);
        const make = (): Site => new Site(name, topology, rules, plan, shared);
        const site = atField(file, [...path, "machine"], make);
        this.#sites.set(name, site);
        addDevices(file, machine, site);
        this.#faults.push(...plannedFaults(file, machine, site));
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

  /** Work with the limits of `endsWithin`; ends also when events of one moment have no end. */
  async within<T>(limitNs: number, work: Promise<T>): Promise<T> {
    this.#runaway = undefined;
    return await endsWithin(this.clock, limitNs, work, () => this.#runaway);
  }

  #heard(error: unknown): void {
    if (error instanceof PeerbufError && error.code === "CLOCK_RUNAWAY") {
      this.#runaway = error;
    } else if (this.thrown.length < THROWN_MAX) {
      this.thrown.push(error);
    }
  }

  /** All drivers are started, so that what follows is of the transfer alone. Those that cannot be say so when they are used. */
  async ready(): Promise<void> {
    for (const site of this.sites) {
      await this.within(IDLE_LIMIT_NS, site.started()).catch(() => undefined);
    }
  }

  /** Puts the faults to work that are for one transfer, until they are disposed of. */
  faultsDuring(transfer: string): Disposable {
    const added = this.#faults
      .filter(({ during }) => during === transfer)
      .map(({ site, rule }) => site.addFault(rule));
    return { [Symbol.dispose]: () => added.forEach((fault) => void fault.remove()) };
  }

  /** Ends what the drivers of a transfer's machines have under way. */
  endWork({ importer, remote }: TransferPlan): void {
    const places = [importer, ...(remote === undefined ? [] : [remote.importer])];
    for (const site of new Set(places.map((place) => this.siteOf(place)))) {
      site.endWork();
      this.#ended.add(site);
    }
  }

  /**
   * After a transfer: waits for work on closed buffers. A machine gets new software when `isBroken`, when its drivers
   * were closed, or when something is out that was not out before. Returns what was left behind.
   */
  async tidy(isBroken: boolean): Promise<string[]> {
    const left: string[] = [];
    for (const site of this.sites) {
      const isIdle = await this.#isIdleSoon(site);
      if (this.#ended.delete(site) || isBroken || !isIdle || holdsBuffers(site)) {
        left.push(...site.reboot().map((what) => joinPlace(site.name, what)));
      }
    }
    return left;
  }

  async #isIdleSoon({ framework }: Site): Promise<boolean> {
    try {
      await this.within(IDLE_LIMIT_NS, framework.idle());
      return true;
    } catch {
      return false; // What it waits for is named when the framework closes.
    }
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
    atField(file, path, () => added(site, bdf, choice));
  }
}

/** What a driver finds in its device is as much the scenario's affair as what does not fit. */
function added(site: Site, bdf: string, choice: DeviceChoice): void {
  try {
    site.add(bdf, choice);
  } catch (error) {
    if (!(error instanceof PeerbufError)) {
      throw error;
    }
    const cause = `its driver cannot be opened there: ${error.message}`;
    const remedy = "Choose another function, or other options";
    throw new InputError({ source: bdf, cause, remedy }, { cause: error });
  }
}

function holdsBuffers({ framework }: Site): boolean {
  const { buffers, attachments, mappings, pins } = framework.handles();
  return buffers + attachments + mappings + pins > 0;
}
