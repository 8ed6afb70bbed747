/**
 * Negotiation machine: one capture with one exporter's and one importer's model in it.
 */
import {
  createFramework,
  type Framework,
  type FrameworkOptions,
  type OpenedExporter,
} from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import {
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type Machine,
  type NonPciDeviceOptions,
} from "@peerbuf/machine";
import {
  createJudge,
  KERNEL_DEFAULT,
  readCapture,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";

export const CELL_BYTES = 64 * 1024;

export const captureTopology = (name: string): Promise<Topology> =>
  readCapture(new URL(`../fixtures/captures/${name}`, import.meta.url).pathname);

export interface CellMachine {
  readonly machine: Machine;
  readonly framework: Framework;
  /** Open in every cell: some drivers need a second buffer. */
  readonly heap: OpenedExporter<object>;
  /** Everything that was given out is back. */
  readonly isClean: () => boolean;
}

export function startCell(
  topology: Topology,
  place: (machine: Machine) => readonly (readonly [bdf: string, model: DeviceModel])[],
  devices: readonly NonPciDeviceOptions[],
  frameworkOf: (options: FrameworkOptions) => Framework = createFramework,
): CellMachine {
  const machine = createMachine({ topology });
  for (const [bdf, model] of place(machine)) {
    machine.place(bdf, model);
  }
  const platform = createModelledPlatform(machine, { devices });
  const judge = createJudge(topology, rulesForKernel(KERNEL_DEFAULT));
  const framework = frameworkOf({ platform, judge });
  const isClean = (): boolean => Object.values(machine.handles()).every((count) => count === 0);
  const heap = framework.openExporter(systemHeap, undefined, undefined);
  return { machine, framework, heap, isClean };
}

/** Bytes that tell where they are. */
export function pattern(lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let state = 1;
  for (let index = 0; index < lengthBytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}
