/**
 * Exporting: every exporter of the tree, with the hardware it needs and a buffer that holds the pattern.
 */
import type { DmaBuf, MappingType } from "@peerbuf/core";
import { acceleratorMemory, apu, gpu, nvmeCmb, vfio } from "@peerbuf/exporters";
import {
  type CarveOut,
  createAccelerator,
  createBarMemory,
  createGpu,
  createNvmeController,
  type DeviceModel,
  type Machine,
  type PrivateLink,
  type SparseMemory,
} from "@peerbuf/machine";
import { CELL_BYTES, type CellMachine, pattern } from "./machine.ts";

const MIB = 2 ** 20;

/** What both sides of a cell may share. */
export interface Shared {
  readonly wire: PrivateLink;
  readonly link: MappingType;
}

export interface Exporting {
  /** Goes into the owner's slot; none for a heap. */
  readonly model: DeviceModel | undefined;
  /** A buffer that holds the pattern. */
  allocate(cell: CellMachine, owner: string): Promise<DmaBuf>;
  /** What the hardware took of the machine, given back. */
  giveBack(machine: Machine): void;
}

export type ExporterName = keyof typeof EXPORTERS;

export const EXPORTERS = {
  "system-heap": (): Exporting => ({
    model: undefined,
    allocate: ({ heap }) => filled(heap.allocate(CELL_BYTES)),
    giveBack() {},
  }),

  gpu: (): Exporting => ({
    model: createGpu({ vramBytes: 64 * MIB }),
    allocate: ({ framework }, owner) =>
      filled(framework.openExporter(gpu, owner, undefined).allocate(CELL_BYTES)),
    giveBack() {},
  }),

  apu: (_shared: Shared, machine: Machine): Exporting => {
    const carveOut: CarveOut = machine.memory.carveOut(16 * MIB);
    return {
      model: createGpu({ carveOut }),
      allocate: ({ framework }, owner) =>
        filled(framework.openExporter(apu, owner, undefined).allocate(CELL_BYTES)),
      giveBack: ({ memory }) => memory.free(carveOut.pages),
    };
  },

  vfio: (): Exporting => {
    const model = createBarMemory();
    const calls = { reset: () => model.reset(), setMemoryEnabled: () => undefined };
    return {
      model,
      allocate: ({ framework }, owner) => {
        const buffer = framework.openExporter(vfio, owner, calls).allocate(CELL_BYTES);
        return planted(buffer, model.inspect().memory);
      },
      giveBack() {},
    };
  },

  "nvme-cmb": (): Exporting => ({
    model: createNvmeController({ capacityBytes: MIB, memoryBuffer: true }),
    allocate: ({ framework }, owner) =>
      filled(framework.openExporter(nvmeCmb, owner, undefined).allocate(CELL_BYTES)),
    giveBack() {},
  }),

  "accelerator-memory": ({ wire, link }: Shared): Exporting => {
    const model = createAccelerator({ memoryBytes: 64 * MIB, link: wire });
    return {
      model,
      allocate: ({ framework }, owner) => {
        const opened = framework.openExporter(acceleratorMemory, owner, { link });
        return planted(opened.allocate(CELL_BYTES), model.inspect().memory);
      },
      giveBack() {},
    };
  },
} as const;

async function filled(buffer: DmaBuf): Promise<DmaBuf> {
  await buffer.write(0, pattern(CELL_BYTES));
  return buffer;
}

/** For memory that is not for the CPU: the first buffer lies at its start. */
async function planted(buffer: DmaBuf, memory: SparseMemory | undefined): Promise<DmaBuf> {
  memory?.write(0, pattern(CELL_BYTES));
  return buffer;
}
