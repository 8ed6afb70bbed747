/**
 * Impatient: a wrong client on the modelled machine: after a while it takes its mapping back, whether its device is done or not.
 */
import { DMA, type DmaBuf, type Importer, P2P } from "@peerbuf/core";
import {
  type MachineGroundOptions,
  machineScenario,
  movingExporter,
  type Scenario,
  type Script,
  step,
  type World,
} from "@peerbuf/testkit";
import {
  FAR,
  HOME,
  NEAR,
  smallServer,
} from "../../packages/cli/src/shipped-drivers/small-server.ts";

const { topology, judge } = smallServer();

const ground: MachineGroundOptions = {
  machine: { topology, memoryBytesPerNode: 2 ** 20 },
  judge,
  models: () => ({}),
  roles: { gpu0: HOME, nic0: NEAR, nic1: FAR },
};

export const impatient: Scenario = machineScenario({
  name: "impatient",
  ground,
  play(world) {
    const owner = world.openExporter(movingExporter, "gpu0", undefined);
    const buffer = owner.allocate(4096);
    return {
      actors: [{ name: "impatient", run: () => uses(world, buffer) }],
      close() {
        buffer.close();
        owner.close();
      },
    };
  },
});

function* uses(world: World, buffer: DmaBuf): Script {
  const device = world.device("nic0");
  const importer: Importer = {
    name: "impatient",
    device,
    offer: () => ({ answer: "offer", types: [{ type: P2P }, { type: DMA }] }),
    invalidateMappings() {},
  };
  yield step("attaches and maps");
  using attachment = buffer.attach(importer);
  {
    using mapping = attachment.map("to-device");
    world.engineOf(device).start(mapping.segments, 0, 64, "read", new Uint8Array(64), () => {});
    yield step("waits a moment");
  }
}
