/**
 * Owners: every exporter that comes with the project, with what makes its buffers move or go away.
 */
import { DMA, type DmaBuf, type Importer, type OpenedExporter, PeerbufError } from "@peerbuf/core";
import { acceleratorMemory, apu, gpu, nvmeCmb, systemHeap, vfio } from "@peerbuf/exporters";
import {
  type BarMemory,
  createAccelerator,
  createBarMemory,
  createGpu,
  createNvmeController,
  type DeviceModel,
  type Machine,
} from "@peerbuf/machine";
import { type MachineGround, movingExporter, type World } from "@peerbuf/testkit";
import { BAR_BYTES, NEAR } from "./small-server.ts";

/** An exporter that is open. */
export interface OpenOwner {
  allocate(sizeBytes: number): DmaBuf;
  /** Moves a buffer, or takes it away for a while. */
  disturb?(buffer: DmaBuf): unknown;
  close(): void;
}

export interface Owner {
  readonly name: string;
  /** Goes into its slot; none: a heap, or the kit's own device. */
  model?(machine: Machine): DeviceModel;
  /** The CPU reaches its buffers. */
  readonly isForCpu: boolean;
  /** Bytes outlive what `disturb` does. */
  readonly keepsBytes: boolean;
  open(world: World, ground: MachineGround, slot: string): OpenOwner;
}

const heapOwner: Owner = {
  name: "system-heap",
  isForCpu: true,
  keepsBytes: true,
  open: (world) => plain(world.openExporter(systemHeap, undefined, undefined)),
};

/** The kit's own device; `disturb` evicts everything. */
const movingOwner: Owner = {
  name: "moving",
  isForCpu: true,
  keepsBytes: true,
  open(world, _ground, slot) {
    const opened = world.openExporter(movingExporter, slot, undefined);
    return { ...plain(opened), disturb: () => opened.api.evict() };
  },
};

/** Needs the VRAM for itself, or a bystander that only takes system memory drags the buffer out. */
const gpuOwner: Owner = {
  name: "gpu",
  isForCpu: true,
  keepsBytes: true,
  model: () => createGpu({ vramBytes: BAR_BYTES }),
  open(world, _ground, slot) {
    const opened = world.openExporter(gpu, slot, undefined);
    return {
      ...plain(opened),
      disturb(buffer) {
        const isEvicted = world.decisions.choose(2, "dragged out or evicted") === 1;
        return isEvicted ? evict(opened) : dragOut(world, buffer);
      },
    };
  },
};

const apuOwner: Owner = {
  name: "apu",
  isForCpu: true,
  keepsBytes: true,
  model: ({ memory }) => createGpu({ carveOut: memory.carveOut(BAR_BYTES) }),
  open(world, _ground, slot) {
    const opened = world.openExporter(apu, slot, undefined);
    return { ...plain(opened), disturb: (buffer) => dragOut(world, buffer) };
  },
};

const vfioOwner: Owner = {
  name: "vfio",
  isForCpu: false,
  keepsBytes: false,
  model: () => createBarMemory(),
  open(world, ground, slot) {
    const handed = {
      reset: () => (ground.models[slot] as BarMemory).reset(),
      setMemoryEnabled: (memory: boolean) => ground.machine.setCommand(slot, { memory }),
    };
    const opened = world.openExporter(vfio, slot, handed);
    let offset = 0;
    return {
      // Windows on it may overlap: here they do not.
      allocate(sizeBytes) {
        const buffer = opened.allocate(sizeBytes, { offset });
        offset += sizeBytes;
        return buffer;
      },
      close: () => opened.close(),
      async disturb() {
        const isReset = world.decisions.choose(2, "reset or disabled") === 0;
        await (isReset ? opened.api.reset() : opened.api.disableMemory()).catch((error) =>
          requireLost(world, error),
        );
        if (!isReset) {
          opened.api.enableMemory();
        }
      },
    };
  },
};

const cmbOwner: Owner = {
  name: "nvme-cmb",
  isForCpu: true,
  keepsBytes: true,
  model: () => createNvmeController({ capacityBytes: BAR_BYTES, memoryBuffer: true }),
  open: (world, _ground, slot) => plain(world.openExporter(nvmeCmb, slot, undefined)),
};

const acceleratorOwner: Owner = {
  name: "accelerator-memory",
  isForCpu: false,
  keepsBytes: true,
  model: () => createAccelerator({ memoryBytes: BAR_BYTES }),
  open: (world, _ground, slot) => plain(world.openExporter(acceleratorMemory, slot, undefined)),
};

export type OwnerName =
  | "system-heap"
  | "moving"
  | "gpu"
  | "apu"
  | "vfio"
  | "nvme-cmb"
  | "accelerator-memory";

export const OWNERS: Readonly<Record<OwnerName, Owner>> = {
  "system-heap": heapOwner,
  moving: movingOwner,
  gpu: gpuOwner,
  apu: apuOwner,
  vfio: vfioOwner,
  "nvme-cmb": cmbOwner,
  "accelerator-memory": acceleratorOwner,
};

const plain = (opened: OpenedExporter<object>): OpenOwner => ({
  allocate: (sizeBytes) => opened.allocate(sizeBytes),
  close: () => opened.close(),
});

/** Whoever was not used for longest has to leave. */
function evict(opened: OpenedExporter<object>): void {
  using all = opened.allocate(BAR_BYTES - 2 ** 12);
  void all;
}

/** Whoever has lost its device holds its mapping until a time limit of its own, which is longer than vfio's. */
function requireLost({ faults }: World, error: unknown): void {
  const isLate = error instanceof PeerbufError && error.code === "WAIT_TIMED_OUT";
  if (!isLate || faults.length === 0) {
    throw error;
  }
}

/** Takes the buffer for a moment, and only in system memory. */
function dragOut(world: World, buffer: DmaBuf): void {
  const importer: Importer = {
    name: "bystander",
    device: world.device(NEAR),
    offer: () => ({ answer: "offer", types: [{ type: DMA }] }),
    invalidateMappings() {},
  };
  using attachment = buffer.attach(importer);
  using mapping = attachment.map("to-device");
  void mapping;
}
