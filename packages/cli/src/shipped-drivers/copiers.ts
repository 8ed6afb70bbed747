/**
 * Copiers: every importer that comes with the project, as something that carries bytes from one buffer to another.
 *
 * So all of them are explored in one way: the device reads the one buffer, keeps what it read, and writes it to the other.
 */
import type { DmaBuf } from "@peerbuf/core";
import {
  accelerator,
  connectQueuePairs,
  gpuPeer,
  nvme,
  platformDevice,
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
  type DeviceModel,
  type PlatformOptions,
  RdmaWire,
} from "@peerbuf/machine";
import type { World } from "@peerbuf/testkit";
import { BAR_BYTES } from "./small-server.ts";

/** An importer that is open. */
export interface OpenCopier {
  /** Copies at the same time keep apart by `place`, from 0: where in the device the bytes rest. */
  copy(from: DmaBuf, to: DmaBuf, place: number): Promise<unknown>;
  close(): void;
}

export interface Copier {
  readonly name: string;
  /** Goes into its slot. */
  model(): DeviceModel;
  /** Of another bus: what the platform has to know, behind the slot. */
  readonly device?: Omit<NonNullable<PlatformOptions["devices"]>[number], "behind">;
  /** `id`: of the slot, or of the device behind it. */
  open(world: World, id: string): OpenCopier;
}

/** Room in the device for one copy. */
const PLACE_BYTES = 2 ** 16;
const BLOCK_BYTES = 512;

const nvmeCopier = (name: string, options?: { readonly bounce: boolean }): Copier => ({
  name,
  model: () => createNvmeController({ capacityBytes: BAR_BYTES }),
  open(world, id) {
    const { api, close } = world.openImporter(nvme, id, options);
    return {
      async copy(from, to, place) {
        const lba = (place * PLACE_BYTES) / BLOCK_BYTES;
        await api.write(from, { lba });
        await api.read(to, { lba });
      },
      close,
    };
  },
});

const rdmaCopier = (flavour: RdmaFlavour): Copier => ({
  name: `rdma-${flavour}`,
  model: () => createRdmaNic({ wire: new RdmaWire() }),
  open(world, id) {
    const { api, close } = world.openImporter(rdma, id, undefined);
    return {
      async copy(from, to) {
        await using local = await api.register(from, { flavour });
        await using remote = await api.register(to, { flavour, remoteWrite: true });
        await using one = await api.createQueuePair();
        await using other = await api.createQueuePair();
        await connectQueuePairs(one, other);
        await one.write(local, remote);
      },
      close,
    };
  },
});

const gpuCopier: Copier = {
  name: "gpu-peer",
  model: () => createGpu({ vramBytes: BAR_BYTES }),
  open(world, id) {
    const { api, close } = world.openImporter(gpuPeer, id, undefined);
    return {
      async copy(from, to, place) {
        const deviceOffset = place * PLACE_BYTES;
        using source = api.import(from);
        using target = api.import(to);
        await source.fetch({ deviceOffset });
        await target.store({ deviceOffset });
      },
      close,
    };
  },
};

const acceleratorCopier: Copier = {
  name: "accelerator",
  model: () => createAccelerator({ memoryBytes: BAR_BYTES }),
  open: (world, id) => bulk(world.openImporter(accelerator, id, undefined)),
};

const usbCopier: Copier = {
  name: "usb",
  model: () => createUsbDrive({ capacityBytes: BAR_BYTES }),
  device: { id: "usb1-1", bus: "usb", label: "USB drive" },
  open: (world, id) => bulk(world.openImporter(usb, id, undefined)),
};

const platformCopier: Copier = {
  name: "platform-device",
  model: () => createPlatformBlock(),
  device: { id: "soc-camera0", bus: "platform", label: "camera", hasPciAncestor: false },
  open: (world, id) => bulk(world.openImporter(platformDevice, id, undefined)),
};

interface Bulk {
  write(buffer: DmaBuf, range: { readonly deviceOffset: number }): Promise<unknown>;
  read(buffer: DmaBuf, range: { readonly deviceOffset: number }): Promise<unknown>;
}

function bulk({ api, close }: { readonly api: Bulk; close(): void }): OpenCopier {
  return {
    async copy(from, to, place) {
      const deviceOffset = place * PLACE_BYTES;
      await api.write(from, { deviceOffset });
      await api.read(to, { deviceOffset });
    },
    close,
  };
}

export type CopierName =
  | "nvme"
  | "nvme-bounce"
  | "rdma-pinned"
  | "rdma-revocable"
  | "rdma-on-demand"
  | "gpu-peer"
  | "accelerator"
  | "usb"
  | "platform-device";

export const COPIERS: Readonly<Record<CopierName, Copier>> = {
  nvme: nvmeCopier("nvme"),
  // Works on memory of its own, to which the exporter's engine copies.
  "nvme-bounce": nvmeCopier("nvme-bounce", { bounce: true }),
  "rdma-pinned": rdmaCopier("pinned"),
  "rdma-revocable": rdmaCopier("revocable"),
  "rdma-on-demand": rdmaCopier("on-demand"),
  "gpu-peer": gpuCopier,
  accelerator: acceleratorCopier,
  usb: usbCopier,
  "platform-device": platformCopier,
};
