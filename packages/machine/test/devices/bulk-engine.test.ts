import {
  type BarShape,
  type BulkDevice,
  createAccelerator,
  createPlatformBlock,
  PrivateLink,
} from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

const PAGE = 4096;
const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 16 * PAGE, prefetchable: true },
  { index: 2, sizeBytes: PAGE, prefetchable: false },
];
const TABLE = 0x1000;
const [TO_LOCAL, FROM_LOCAL, OVER_LINK] = [1, 2, 0x100];
const [IDLE, BUSY, DONE, FAILED] = [0, 1, 2, 3];
const LINK_PORT_BYTES = 2 ** 40;

type Row = readonly [address: number, lengthBytes: number];

/** A driver's hand on the engine. */
class Bench {
  readonly port = new FakePort();
  readonly model: BulkDevice;
  readonly registers: RegisterFile;

  constructor(model: BulkDevice) {
    this.model = model;
    this.registers = connectRegisters(model, this.port, BARS, 2);
  }

  start(control: number, rows: readonly Row[], local = 0): void {
    const table = new BigUint64Array(rows.flat().map(BigInt));
    this.port.memory.write(TABLE, new Uint8Array(table.buffer));
    for (const [offset, value] of [
      [0x10, TABLE],
      [0x18, rows.length],
      [0x1c, local],
      [0x24, control],
    ] as const) {
      this.registers.write32(offset, value);
    }
  }

  get status(): number {
    return this.registers.read32(0x28);
  }

  get fault(): number {
    return this.registers.read32(0x2c);
  }
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function read(
  memory: { read(offset: number, target: Uint8Array): void },
  at: number,
  length: number,
): string {
  const bytes = new Uint8Array(length);
  memory.read(at, bytes);
  return new TextDecoder().decode(bytes);
}

describe("bulk engine", () => {
  it("gathers segments into its own memory, in order, and interrupts", () => {
    const bench = new Bench(createPlatformBlock({ memoryBytes: 4 * PAGE }));
    bench.port.memory.write(0x8000, text("world"));
    bench.port.memory.write(0x9000, text("hello "));

    bench.start(
      TO_LOCAL,
      [
        [0x9000, 6],
        [0x8000, 5],
      ],
      100,
    );
    expect(bench.status).toBe(BUSY);
    bench.port.clock.run();

    expect(bench.status).toBe(DONE);
    expect(bench.port.interrupts).toEqual([0]);
    expect(read(bench.model.inspect().memory, 100, 11)).toBe("hello world");
  });

  it("scatters its own memory to segments", () => {
    const bench = new Bench(createPlatformBlock());
    bench.model.inspect().memory.write(0, text("hello world"));

    bench.start(FROM_LOCAL, [
      [0x9000, 6],
      [0x8000, 5],
    ]);
    bench.port.clock.run();

    expect(read(bench.port.memory, 0x9000, 6)).toBe("hello ");
    expect(read(bench.port.memory, 0x8000, 5)).toBe("world");
  });

  it("takes the longer the more it moves", () => {
    const elapsed = (lengthBytes: number): number => {
      const bench = new Bench(createPlatformBlock({ memoryBytes: 4 * PAGE }));
      bench.start(TO_LOCAL, [[0x8000, lengthBytes]]);
      bench.port.clock.run();
      return bench.port.clock.nowNs;
    };

    expect(elapsed(4000) - elapsed(2000)).toBe(1000);
  });

  it.each([
    [
      "a table that cannot be read",
      1,
      (bench: Bench) => bench.port.holes.push([TABLE, TABLE + 16]),
    ],
    ["a read that reaches nothing", 3, (bench: Bench) => bench.port.holes.push([0x8000, 0x8010])],
  ])("fails for %s", (_what, fault, breakIt) => {
    const bench = new Bench(createPlatformBlock({ memoryBytes: 4 * PAGE }));
    breakIt(bench);

    bench.start(TO_LOCAL, [[0x8000, 16]]);
    bench.port.clock.run();

    expect([bench.status, bench.fault]).toEqual([FAILED, fault]);
    expect(bench.port.interrupts).toEqual([0]);
  });

  it("fails for transfers past its memory and for tables of impossible sizes", () => {
    const bench = new Bench(createPlatformBlock({ memoryBytes: PAGE }));

    bench.start(TO_LOCAL, [[0x8000, PAGE + 1]]);
    bench.port.clock.run();
    expect([bench.status, bench.fault]).toEqual([FAILED, 2]);

    bench.start(TO_LOCAL, []);
    bench.port.clock.run();
    expect([bench.status, bench.fault]).toEqual([FAILED, 1]);
  });

  it("stops at once: nothing arrives and nobody is told", () => {
    const bench = new Bench(createPlatformBlock({ memoryBytes: 4 * PAGE }));
    bench.port.memory.write(0x8000, text("hello"));
    bench.start(TO_LOCAL, [[0x8000, 5]]);

    bench.registers.write32(0x24, 0);
    bench.port.clock.run();

    expect(bench.status).toBe(IDLE);
    expect(bench.port.interrupts).toEqual([]);
    expect(read(bench.model.inspect().memory, 0, 5)).toBe("\0".repeat(5));
  });

  it("does not begin a second transfer while one runs", () => {
    const bench = new Bench(createPlatformBlock({ memoryBytes: 4 * PAGE }));
    bench.start(TO_LOCAL, [[0x8000, 16]]);

    bench.registers.write32(0x24, FROM_LOCAL);
    bench.port.clock.run();

    expect(bench.port.interrupts).toEqual([0]);
  });
});

describe("private link", () => {
  it("carries bytes between accelerators and past PCIe", () => {
    const wire = new PrivateLink();
    const [one, other] = [0, 1].map(
      () => new Bench(createAccelerator({ memoryBytes: 16 * PAGE, link: wire })),
    ) as [Bench, Bench];
    other.model.inspect().memory.write(PAGE, text("over the link"));

    one.start(TO_LOCAL + OVER_LINK, [[LINK_PORT_BYTES + PAGE, 13]]);
    one.port.clock.run();
    one.model.inspect().memory.write(0, text("AND"));
    one.start(FROM_LOCAL + OVER_LINK, [[LINK_PORT_BYTES, 3]]);
    one.port.clock.run();

    expect([one, other].map(({ registers }) => registers.read32(0x0c))).toEqual([0, 1]);
    expect(read(one.model.inspect().memory, 3, 10)).toBe("r the link");
    expect(read(other.model.inspect().memory, 0, 3)).toBe("AND");
  });

  it.each([
    ["no such port", 7 * LINK_PORT_BYTES, 16],
    ["bytes past the end of the memory there", 16 * PAGE - 8, 16],
  ])("answers nothing for %s", (_what, address, lengthBytes) => {
    const wire = new PrivateLink();
    const bench = new Bench(createAccelerator({ memoryBytes: 16 * PAGE, link: wire }));

    bench.start(TO_LOCAL + OVER_LINK, [[address, lengthBytes]]);
    bench.port.clock.run();

    expect([bench.status, bench.fault]).toEqual([FAILED, 4]);
  });

  it("is not there for a device without one", () => {
    const bench = new Bench(createAccelerator({ memoryBytes: 16 * PAGE }));

    bench.start(TO_LOCAL + OVER_LINK, [[0, 16]]);
    bench.port.clock.run();

    expect(bench.registers.read32(0x0c)).toBe(0xffff_ffff);
    expect([bench.status, bench.fault]).toEqual([FAILED, 4]);
  });
});
