/**
 * Server machine: the captured server "server-05" with modelled devices in its slots, and a framework
 * over it.
 *
 * As the kernel judged it, for reaching GPU 3b:00.0: below its own switch, bus addresses, are a NIC
 * and a drive; below its host bridge another drive; a NIC and a drive below the other host bridge
 * are unsupported.
 */
import { fileURLToPath } from "node:url";
import { createFramework, DMA, type Framework, type Importer } from "@peerbuf/core";
import {
  createGpu,
  createMachine,
  createModelledPlatform,
  createNvmeController,
  createRdmaNic,
  type Gpu,
  type HandleCounts,
  type Machine,
  type MachineOptions,
  type ModelledPlatform,
  type NvmeController,
  type NvmeControllerOptions,
  type PlatformOptions,
  RdmaWire,
  type SparseMemory,
} from "@peerbuf/machine";
import { createJudge, KERNEL_DEFAULT, readCapture, rulesForKernel } from "@peerbuf/topology";
import { expect } from "vitest";

export const MIB: number = 2 ** 20;
export const GPU = "0000:3b:00.0";
export const NEAR_NIC = "0000:3d:00.0";
export const NEAR_DRIVE = "0000:3e:00.0";
export const BRIDGE_DRIVE = "0000:3f:00.0";
export const FAR_NIC = "0000:15:00.0";
export const FAR_DRIVE = "0000:17:00.0";

const CAPTURE = fileURLToPath(
  new URL("../../../test/fixtures/captures/server-05", import.meta.url),
);
const topology = await readCapture(CAPTURE);
const judge = createJudge(topology, rulesForKernel(KERNEL_DEFAULT));

export interface Server extends Disposable {
  readonly machine: Machine;
  readonly platform: ModelledPlatform;
  readonly framework: Framework;
  readonly gpu: Gpu;
  readonly nearDrive: NvmeController;
  readonly bridgeDrive: NvmeController;
  readonly farDrive: NvmeController;
}

export interface ServerOptions {
  readonly machine?: Partial<MachineOptions>;
  readonly platform?: PlatformOptions;
  /** Of every drive. */
  readonly drive?: NvmeControllerOptions;
  readonly vramBytes?: number;
}

/** At the end nothing may be out: not a mapping, not a page, not an interrupt handler. */
export function startServer(options: ServerOptions = {}): Server {
  const machine = createMachine({ topology, ...options.machine });
  const wire = new RdmaWire();
  const gpu = createGpu({ vramBytes: options.vramBytes ?? 64 * MIB });
  const [nearDrive, bridgeDrive, farDrive] = [NEAR_DRIVE, BRIDGE_DRIVE, FAR_DRIVE].map((bdf) => {
    const drive = createNvmeController({ capacityBytes: 64 * MIB, ...options.drive });
    machine.place(bdf, drive);
    return drive;
  }) as [NvmeController, NvmeController, NvmeController];
  machine.place(GPU, gpu);
  machine.place(NEAR_NIC, createRdmaNic({ wire }));
  machine.place(FAR_NIC, createRdmaNic({ wire }));
  const platform = createModelledPlatform(machine, options.platform);
  const framework = createFramework({ platform, judge });
  const dispose = (): void => {
    framework.close();
    expect(machine.handles()).toEqual(NOTHING_OUT);
  };
  const drives = { nearDrive, bridgeDrive, farDrive };
  return { machine, platform, framework, gpu, ...drives, [Symbol.dispose]: dispose };
}

const NOTHING_OUT: HandleCounts = {
  mappings: 0,
  coherent: 0,
  hostAllocations: 0,
  hostPages: 0,
  interruptHandlers: 0,
};

/** Byte for byte; quick also for megabytes. */
export function expectSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  expect({ length: actual.length, firstDifference: at }).toEqual({
    length: expected.length,
    firstDifference: -1,
  });
}

/** What an instrument sees of a device's memory. */
export function bytesIn(memory: SparseMemory, offset: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  memory.read(offset, bytes);
  return bytes;
}

/** Resolves so much later on the machine's clock. */
export function after({ machine }: Server, delayNs: number): Promise<void> {
  return new Promise((resolve) => {
    machine.clock.schedule(delayNs, resolve);
  });
}

type Port = Parameters<Parameters<Machine["interpose"]>[0]>[0];

/** Puts a change before one device's link, until it is taken out again. */
export function changeLink(
  { machine }: Pick<Server, "machine">,
  bdf: string,
  change: (port: Port) => Partial<Port>,
): { remove(): void } {
  return machine.interpose((port) =>
    port.bdf === bdf
      ? {
          bdf,
          clock: port.clock,
          attributes: port.attributes,
          as: (attributes) => port.as(attributes),
          read: (...request) => port.read(...request),
          write: (...request) => port.write(...request),
          readInto: (...request) => port.readInto(...request),
          writeFrom: (...request) => port.writeFrom(...request),
          transfer: (...request) => port.transfer(...request),
          interrupt: (vector) => port.interrupt(vector),
          ...change(port),
        }
      : port,
  );
}

/** An importer that takes system memory and never uses it. */
export function systemImporter({ platform }: Server, id: string): Importer {
  const device = platform.device(id);
  return { name: "bystander", device, offer: () => ({ answer: "offer", types: [{ type: DMA }] }) };
}

/** Bytes that tell where they are: no two pages alike. */
export function pattern(lengthBytes: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let state = seed;
  for (let index = 0; index < lengthBytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}
