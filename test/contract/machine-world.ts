/**
 * Machine world: the modelled machine as a ground for contract suites; two clients have engines that do what a check says.
 */

import { fileURLToPath } from "node:url";
import {
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type DmaPlatform,
  type Machine,
  type NonPciDeviceOptions,
} from "@peerbuf/machine";
import type { ContractWorld } from "@peerbuf/testkit";
import { createJudge, readCapture, rulesForKernel } from "@peerbuf/topology";
import { memoryBehindBar, type Probe, probe } from "../sharing/probe.ts";

/** Three functions below one switch. */
export interface Site {
  readonly capture: string;
  readonly home: string;
  readonly clients: readonly [string, string];
}

const SERVER: Site = {
  capture: "server-05",
  home: "0000:3b:00.0",
  clients: ["0000:3c:00.0", "0000:3d:00.0"],
};

const TURNS_MAX = 10_000;

export interface MachineWorldOptions {
  /** Default: server-05. */
  readonly site?: Site;
  readonly dma?: DmaPlatform;
  /** The client is no PCI function: what the platform has to know of it, and where it is behind. */
  readonly device?: Omit<NonPciDeviceOptions, "behind">;
  /** Goes into the home slot; memory behind its BAR unless told otherwise. */
  readonly home?: (machine: Machine) => DeviceModel;
  /** Stands in the first client's slot, in place of an engine of the suite. */
  readonly client?: DeviceModel;
}

export async function machineWorld(options: MachineWorldOptions = {}): Promise<ContractWorld> {
  const { capture, home, clients } = options.site ?? SERVER;
  const path = new URL(`../fixtures/captures/${capture}`, import.meta.url);
  const topology = await readCapture(fileURLToPath(path));
  const machine = createMachine({ topology });
  const probes = new Map<string, Probe>();
  machine.place(home, options.home?.(machine) ?? memoryBehindBar());
  for (const bdf of clients) {
    if (bdf === clients[0] && options.client !== undefined) {
      machine.place(bdf, options.client);
      continue;
    }
    const device = probe();
    probes.set(bdf, device);
    machine.place(bdf, device);
    machine.setCommand(bdf, { busMaster: true });
  }
  const devices = options.device === undefined ? [] : [{ ...options.device, behind: clients[0] }];
  const platform = createModelledPlatform(machine, {
    devices,
    ...(options.dma && { dma: options.dma }),
  });
  const world: ContractWorld = {
    platform,
    judge: createJudge(topology, rulesForKernel("6.12")),
    home,
    clients: [options.device?.id ?? clients[0], clients[1]],
    settle: () => pumped(machine),
    close: () => platform.close(),
  };
  return options.client === undefined ? { ...world, ...engines(probes) } : world;
}

/** The clock pumps itself, a moment for each turn of the event loop: drivers go on in between. */
async function pumped({ clock }: Machine): Promise<boolean> {
  const isBusy = clock.pendingCount > 0;
  for (let turn = 0; turn < TURNS_MAX && clock.pendingCount > 0; turn++) {
    await new Promise(setImmediate);
  }
  return isBusy;
}

/** Devices that read and write what they were given, at once. */
function engines(probes: ReadonlyMap<string, Probe>): Pick<ContractWorld, "transfer" | "look"> {
  const moved: NonNullable<ContractWorld["look"]> = (client, segments, bytes) =>
    each(probes, client.id, segments, bytes, "read");
  return {
    look: moved,
    transfer: async (client, segments, kind, bytes) =>
      each(probes, client.id, segments, bytes, kind),
  };
}

function each(
  probes: ReadonlyMap<string, Probe>,
  id: string,
  segments: Parameters<NonNullable<ContractWorld["look"]>>[1],
  bytes: Uint8Array,
  kind: "read" | "write",
): boolean {
  const port = probes.get(id)?.port;
  let at = 0;
  let isWhole = port !== undefined;
  for (let index = 0; index < segments.count; index++) {
    const length = segments.lengthBytes(index);
    const done = port?.[kind](segments.address(index), bytes, at, length);
    isWhole &&= done?.ok === true;
    at += length;
  }
  return isWhole;
}
