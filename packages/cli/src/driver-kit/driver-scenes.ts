/**
 * Driver scenes: where somebody's driver is tried: in the light world, or on a modelled machine if its module brings a model of
 * the device.
 */
import {
  type Contract,
  createWorld,
  type ExporterCheck,
  exporterContract,
  type ImporterCheck,
  importerContract,
  MachineGround,
  type MachineGroundOptions,
  machineContractWorld,
  onMachine,
  type Scenario,
  scenariosFor,
  type World,
} from "@peerbuf/testkit";
import { HOME, NEAR, OTHER, smallServer } from "../shipped-drivers/small-server.ts";
import type { DriverModule } from "./driver-module.ts";

export function scenariosOf(module: DriverModule): readonly Scenario[] {
  const scenarios = scenariosFor(module.driver, module.check);
  const ground = groundOf(module);
  return ground === undefined ? scenarios : scenarios.map((each) => onMachine(each, ground));
}

/** The suite for its role: `driver-module.ts` made sure that the check fits. */
export function contractOf(module: DriverModule): Contract {
  const { driver, check } = module;
  const ground = groundOf(module);
  const world = ground === undefined ? undefined : machineContractWorld(ground);
  return driver.role === "exporter"
    ? exporterContract(driver, check as ExporterCheck, world)
    : importerContract(driver, check as ImporterCheck, world);
}

/** A world to open the driver in, on gpu0 or nic0. */
export function worldOf(module: DriverModule): World {
  const ground = groundOf(module);
  return createWorld({
    decisions: { choose: () => 0 },
    ...(ground === undefined ? {} : { ground: (world: World) => new MachineGround(world, ground) }),
  });
}

/** The model stands in the slot on which the driver is opened, the kit's devices in the others. */
function groundOf({ driver, machine }: DriverModule): MachineGroundOptions | undefined {
  if (machine === undefined) {
    return undefined;
  }
  const slot = driver.role === "exporter" ? HOME : NEAR;
  const { topology, judge } = smallServer();
  return {
    machine: { topology, memoryBytesPerNode: 2 ** 24 },
    judge,
    roles: { gpu0: HOME, nic0: NEAR, nic1: OTHER },
    models: () => ({ [slot]: machine.model() }),
  };
}
