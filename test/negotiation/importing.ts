/**
 * Importing: every importer of the tree, with the hardware it needs, reading a whole buffer once.
 */
import type { DmaBuf } from "@peerbuf/core";
import {
  accelerator,
  connectQueuePairs,
  gpuPeer,
  type Negotiated,
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
  type NonPciDeviceOptions,
  RdmaWire,
  type SparseMemory,
} from "@peerbuf/machine";
import type { Shared } from "./exporting.ts";
import { CELL_BYTES, type CellMachine } from "./machine.ts";

const MIB = 2 ** 20;

/** What came of it: how it went, and the bytes that arrived in the device. */
export interface Read {
  readonly negotiated: Negotiated;
  readonly bytes: Uint8Array;
}

export interface Importing {
  readonly model: DeviceModel;
  /** Not a PCI function: what the platform has to know of it. */
  readonly device?: NonPciDeviceOptions;
  /** Opens the driver, reads the buffer by DMA, and closes. */
  read(cell: CellMachine, buffer: DmaBuf): Promise<Read>;
}

export type ImporterName = keyof typeof IMPORTERS;

export const IMPORTERS = {
  nvme: (slot: string): Importing => {
    const model = createNvmeController({ capacityBytes: MIB });
    return {
      model,
      async read({ framework }, buffer) {
        using opened = framework.openImporter(nvme, slot, undefined);
        const { negotiated } = await opened.api.write(buffer, { lba: 0 });
        return { negotiated, bytes: bytesOf(model.inspect().namespace) };
      },
    };
  },

  "rdma pinned": (slot: string): Importing => rdmaRegion(slot, "pinned"),
  "rdma revocable": (slot: string): Importing => rdmaRegion(slot, "revocable"),
  "rdma on-demand": (slot: string): Importing => rdmaRegion(slot, "on-demand"),

  "gpu-peer": (slot: string): Importing => {
    const model = createGpu({ vramBytes: 64 * MIB });
    return {
      model,
      async read({ framework }, buffer) {
        using opened = framework.openImporter(gpuPeer, slot, undefined);
        using imported = opened.api.import(buffer);
        const negotiated = await imported.fetch();
        return { negotiated, bytes: bytesOf(model.inspect().vram) };
      },
    };
  },

  accelerator: (slot: string, { wire, link }: Shared): Importing => {
    const model = createAccelerator({ memoryBytes: 64 * MIB, link: wire });
    return {
      model,
      async read({ framework }, buffer) {
        using opened = framework.openImporter(accelerator, slot, { link });
        const negotiated = await opened.api.write(buffer);
        return { negotiated, bytes: bytesOf(model.inspect().memory) };
      },
    };
  },

  usb: (slot: string): Importing => {
    const model = createUsbDrive({ capacityBytes: MIB });
    return {
      model,
      device: { id: "usb1-1", bus: "usb", label: "USB drive", behind: slot },
      async read({ framework }, buffer) {
        using opened = framework.openImporter(usb, "usb1-1", undefined);
        const negotiated = await opened.api.write(buffer);
        return { negotiated, bytes: bytesOf(model.inspect().memory) };
      },
    };
  },

  "platform-device": (slot: string): Importing => {
    const model = createPlatformBlock();
    const place = { behind: slot, hasPciAncestor: false };
    return {
      model,
      device: { id: "soc-camera0", bus: "platform", label: "camera", ...place },
      async read({ framework }, buffer) {
        using opened = framework.openImporter(platformDevice, "soc-camera0", undefined);
        const negotiated = await opened.api.write(buffer);
        return { negotiated, bytes: bytesOf(model.inspect().memory) };
      },
    };
  },
} as const;

/** A region of the buffer, written by RDMA to host memory beside it. */
function rdmaRegion(slot: string, flavour: RdmaFlavour): Importing {
  return {
    model: createRdmaNic({ wire: new RdmaWire() }),
    async read({ framework, heap }, buffer) {
      using opened = framework.openImporter(rdma, slot, undefined);
      using target = heap.allocate(CELL_BYTES);
      await using local = await opened.api.register(buffer, { flavour });
      await using remote = await opened.api.register(target, { remoteWrite: true });
      await using one = await opened.api.createQueuePair();
      await using other = await opened.api.createQueuePair();
      await connectQueuePairs(one, other);
      const { negotiated } = await one.write(local, remote);
      return { negotiated, bytes: await target.read(0, CELL_BYTES) };
    },
  };
}

function bytesOf(memory: SparseMemory): Uint8Array {
  const bytes = new Uint8Array(CELL_BYTES);
  memory.read(0, bytes);
  return bytes;
}
