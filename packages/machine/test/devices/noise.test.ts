import {
  type BarModel,
  type BarShape,
  createAccelerator,
  createGpu,
  createNvmeController,
  createPlatformBlock,
  createRdmaNic,
  createUsbDrive,
  type DeviceModel,
  RdmaWire,
} from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FakePort } from "./fake-port.ts";

const MIB = 2 ** 20;
const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 16_384, prefetchable: false },
  { index: 2, sizeBytes: 4 * MIB, prefetchable: true },
];

/** Each model, how it is made, and the registers that give it rings at low addresses and start it. */
const MODELS: readonly [string, () => DeviceModel, readonly (readonly [number, number])[]][] = [
  [
    "nvme",
    () => createNvmeController({ capacityBytes: MIB, memoryBuffer: true }),
    [
      [0x24, (63 << 16) | 63],
      [0x28, 0x1000],
      [0x30, 0x3000],
      [0x14, (4 << 20) | (6 << 16) | 1],
    ],
  ],
  [
    "rdma-nic",
    () => createRdmaNic({ wire: new RdmaWire() }),
    [
      [0x20, 0x1000],
      [0x28, 64],
      [0x30, 0x2000],
      [0x38, 64],
      [0x40, 0x4000],
      [0x48, 64],
      [0x0c, 1],
    ],
  ],
  [
    "gpu",
    () => createGpu({ vramBytes: 8 * MIB, windowBytes: MIB }),
    [
      [0x10, 0x1000],
      [0x18, 64],
      [0x28, 0x3000],
      [0x48, 0x2000],
      [0x50, 64],
      [0x1c, 1],
    ],
  ],
  [
    "usb-drive",
    () => createUsbDrive({ capacityBytes: MIB }),
    [
      [0x58, 4],
      [0x50, 0x2000],
      [0x38, 0x1001],
      [0x628, 1],
      [0x630, 0x3000],
      [0x20, 5],
    ],
  ],
  ["accelerator", () => createAccelerator({ memoryBytes: 8 * MIB }), [[0x10, 0x1000]]],
  ["platform-block", () => createPlatformBlock(), [[0x10, 0x1000]]],
];

/** Registers, doorbells and values that a broken driver may come upon. */
const poke = fc.record({
  register: fc.oneof(
    fc.nat(0x40).map((word) => 4 * word),
    fc.nat(0xfff).map((word) => 4 * word),
    fc.constantFrom(0x2c, 0x20, 0x800, 0x804, 0xc04, 0x1000, 0x1008, 0x24),
  ),
  value: fc.oneof(fc.nat(70), fc.nat(0xffff_ffff)),
});

/** Bytes like those of commands: mostly small numbers, so that some of them mean something. */
const noise = fc
  .array(fc.oneof(fc.nat(12), fc.constant(0), fc.nat(0xffff_ffff)), {
    minLength: 64,
    maxLength: 256,
  })
  .map((words) => new Uint8Array(Uint32Array.from(words).buffer));

describe("device models, at the mercy of a broken driver", () => {
  it.each(MODELS)("%s ends in states of its own, and a reset brings it back", (_, make, setUp) => {
    const fresh = readAll(connect(make(), new FakePort()));

    fc.assert(
      fc.property(noise, noise, fc.array(poke, { maxLength: 40 }), (first, second, pokes) => {
        const port = new FakePort();
        const model = make();
        const registers = connect(model, port);
        for (let at = 0; at < 0x6000; at += 0x1000) {
          port.memory.write(at, at % 0x2000 === 0 ? first : second);
        }
        for (const [register, value] of setUp) {
          registers.write(register, 4, value);
        }
        port.clock.run();
        for (const { register, value } of pokes) {
          registers.write(register, 4, value);
          port.clock.runUntil(port.clock.nowNs + 10_000);
        }
        port.clock.run();

        model.reset();

        expect(readAll(registers)).toEqual(fresh);
      }),
      { numRuns: 150 },
    );
  });
});

type Registers = Extract<BarModel, { kind: "registers" }>;

function connect(model: DeviceModel, port: FakePort): Registers {
  return model.connect(port, BARS).get(0) as Registers;
}

const readAll = (registers: Registers): number[] =>
  Array.from({ length: 512 }, (_, word) => registers.read(4 * word, 4));
