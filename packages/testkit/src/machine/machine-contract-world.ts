/**
 * Machine contract world: a modelled machine as the ground of contract suites.
 *
 * The driver under test is opened on `gpu0` if it is an exporter, on `nic0` if it is an importer; the roles say which slots
 * these are. Slots without a model hold devices of the kit, which carry what a check wants carried.
 */
import type { ContractWorld, OpenWorld } from "../contract/contract-world.ts";
import { settleWorld } from "../ground/settle.ts";
import { createWorld, type World } from "../ground/world.ts";
import { MachineGround, type MachineGroundOptions } from "./machine-ground.ts";

/** `roles` has to name slots for gpu0, nic0 and nic1. */
export function machineContractWorld(options: MachineGroundOptions): OpenWorld {
  return (checker): ContractWorld => {
    const world = createWorld({
      decisions: { choose: () => 0 },
      checker,
      ground: (made) => new MachineGround(made, options),
    });
    const { roles = {} } = options;
    const role = (name: string): string => roles[name] ?? name;
    return {
      platform: world.platform,
      judge: options.judge,
      home: role("gpu0"),
      clients: [role("nic0"), role("nic1")],
      settle: () => settle(world),
      transfer: (client, segments, kind, bytes) =>
        new Promise((done) => {
          world.engineOf(client).start(segments, 0, bytes.length, kind, bytes, done);
        }),
      close() {},
    };
  };
}

async function settle(world: World): Promise<boolean> {
  const isBusy = world.clock.lanes.some(({ length }) => length > 0);
  await settleWorld(world);
  return isBusy;
}
