/**
 * Shipped importers: each with its hardware on the modelled machine, and what one use of a buffer is for it.
 */
import { type Direction, type DmaBuf, interconnect } from "@peerbuf/core";
import {
  accelerator,
  type BulkTransfers,
  type GpuPeer,
  gpuPeer,
  type Nvme,
  nvme,
  platformDevice,
  type Rdma,
  type RdmaFlavour,
  rdma,
  usb,
} from "@peerbuf/importers";
import {
  createAccelerator,
  createGpu,
  createNvmeController,
  createPlatformBlock,
  createRdmaNic,
  createUsbDrive,
  PrivateLink,
  RdmaWire,
} from "@peerbuf/machine";
import { type Contract, importerContract } from "@peerbuf/testkit";
import { machineWorld } from "./machine-world.ts";

const MIB = 2 ** 20;

/** A drive or engine that writes a buffer out, or fills it. */
const bulk = {
  start: (api: Pick<BulkTransfers, "read" | "write">, buffer: DmaBuf, direction: Direction) =>
    direction === "to-device" ? api.write(buffer) : api.read(buffer),
};

export function shippedImporters(): Contract[] {
  return [
    importerContract(
      nvme,
      {
        start: (api: Nvme, buffer, direction) =>
          direction === "to-device" ? api.write(buffer, { lba: 0 }) : api.read(buffer, { lba: 0 }),
      },
      () => machineWorld({ client: createNvmeController({ capacityBytes: MIB }) }),
    ),
    ...(["pinned", "revocable", "on-demand"] as const).map(rdmaContract),
    importerContract(
      gpuPeer,
      {
        start: async (api: GpuPeer, buffer, direction) => {
          using imported = api.import(buffer);
          await (direction === "to-device" ? imported.fetch() : imported.store());
        },
      },
      () => machineWorld({ client: createGpu({ vramBytes: 64 * MIB }) }),
    ),
    importerContract(accelerator, { ...bulk, options: { link: interconnect("link0") } }, () =>
      machineWorld({
        client: createAccelerator({ memoryBytes: 64 * MIB, link: new PrivateLink() }),
      }),
    ),
    importerContract(usb, bulk, () =>
      machineWorld({
        client: createUsbDrive({ capacityBytes: MIB }),
        device: { id: "usb1-1", bus: "usb", label: "USB drive" },
      }),
    ),
    importerContract(platformDevice, bulk, () =>
      machineWorld({
        client: createPlatformBlock(),
        device: { id: "soc-camera0", bus: "platform", label: "camera", hasPciAncestor: false },
      }),
    ),
  ];
}

/** A registration and its end. */
function rdmaContract(flavour: RdmaFlavour): Contract {
  return importerContract(
    rdma,
    {
      directions: ["bidirectional"],
      start: async (api: Rdma, buffer) => {
        await using region = await api.register(buffer, { flavour });
        void region;
      },
    },
    () => machineWorld({ client: createRdmaNic({ wire: new RdmaWire() }) }),
  );
}
