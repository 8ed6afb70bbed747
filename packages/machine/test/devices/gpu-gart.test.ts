import { type BarShape, createGpu, type Gpu } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

const MIB = 2 ** 20;
const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 4 * MIB, prefetchable: true },
  { index: 2, sizeBytes: 4096, prefetchable: false },
];
const [RINGS, FENCES, TABLE] = [0x1000, 0x8000, 0x1_0000];
const [VRAM_TO_DMA, FENCE, VRAM_TO_GART, GART_TO_VRAM] = [2, 5, 6, 7];
const [VALID, WRITABLE] = [1, 2];
const [HALTED, GART_FAULT] = [2, 5];
const PAGE = 4096;
const APERTURE_PAGES = 16;

type Row = readonly [opcode: number, source: number, target: number, length: number];

class Bench {
  readonly port = new FakePort();
  readonly model: Gpu;
  readonly registers: RegisterFile;
  readonly #tails = [0, 0, 0];

  constructor(copyEngines = 3) {
    this.model = createGpu({ vramBytes: 8 * MIB, copyEngines });
    this.registers = connectRegisters(this.model, this.port, BARS, 2);
    for (let engine = 0; engine < copyEngines; engine++) {
      this.start(engine);
    }
    this.registers.write32(0x48, TABLE);
    this.registers.write32(0x50, APERTURE_PAGES);
  }

  start(engine: number): void {
    const bank = 0x100 * engine;
    this.#tails[engine] = 0;
    this.registers.write32(bank + 0x1c, 0);
    this.registers.write32(bank + 0x10, RINGS + 0x1000 * engine);
    this.registers.write32(bank + 0x18, 8);
    this.registers.write32(bank + 0x28, FENCES + 64 * engine);
    this.registers.write32(bank + 0x1c, 1);
  }

  /** Rings the doorbell and lets no time pass. */
  post(engine: number, ...rows: readonly Row[]): void {
    for (const [opcode, source, target, length] of rows) {
      const { memory } = this.port;
      const tail = this.#tails[engine] as number;
      const at = RINGS + 0x1000 * engine + 32 * tail;
      memory.writeNumber(at, 4, opcode);
      memory.writeNumber(at + 8, 8, source);
      memory.writeNumber(at + 16, 8, target);
      memory.writeNumber(at + 24, 8, length);
      this.#tails[engine] = (tail + 1) % 8;
    }
    this.registers.write32(0x100 * engine + 0x20, this.#tails[engine] as number);
  }

  run(engine: number, ...rows: readonly Row[]): void {
    this.post(engine, ...rows);
    this.port.clock.run();
  }

  putPage(index: number, address: number, flags: number): void {
    this.port.memory.writeNumber(TABLE + 8 * index, 8, address + flags);
  }

  fault(engine: number): number[] {
    const bank = 0x100 * engine;
    return [0x30, 0x34, 0x58].map((register) => this.registers.read32(bank + register));
  }
}

describe("GPU model, copy engines", () => {
  it("work side by side, each with its ring, its fence and its vector", () => {
    const bench = new Bench();
    bench.model.inspect().vram.fill(0x77, 0, 4 * MIB);

    bench.post(0, [VRAM_TO_DMA, 0, 4 * MIB, 4 * MIB], [FENCE, 0, 5, 0]);
    bench.post(2, [VRAM_TO_DMA, 0, 2 * MIB, 64], [FENCE, 0, 9, 0]);
    bench.port.clock.run();

    expect(bench.registers.read32(0x40)).toBe(3);
    expect(bench.port.interrupts).toEqual([2, 0]);
    const fences = [0, 1, 2].map((n) => bench.port.memory.readNumber(FENCES + 64 * n, 8));
    expect(fences).toEqual([5, 0, 9]);
    expect(bench.port.memory.readNumber(2 * MIB, 1)).toBe(0x77);
  });

  it("halt alone: the others go on", () => {
    const bench = new Bench();

    bench.run(1, [99, 0, 0, 0]);
    bench.run(0, [FENCE, 0, 1, 0]);

    expect(bench.fault(1)[0]).toBe(HALTED);
    expect(bench.port.memory.readNumber(FENCES, 8)).toBe(1);
  });

  it.each([0, 9, 1.5])("cannot be %s", (copyEngines) => {
    expect(() => createGpu({ copyEngines })).toThrow("no number of copy engines");
  });

  it("halts at once for a length that no memory has", () => {
    const bench = new Bench();

    bench.run(0, [VRAM_TO_DMA, 0, 0, 2 ** 60]);

    expect(bench.fault(0)).toEqual([HALTED, 3, 0]);
    expect(bench.port.clock.nowNs).toBeLessThan(1_000_000);
  });
});

describe("GPU model, GART", () => {
  it("makes scattered pages one range, byte for byte, both ways", () => {
    const pages = fc.shuffledSubarray([3, 7, 8, 9, 20, 21, 40, 41, 50, 60], {
      minLength: 4,
      maxLength: 8,
    });
    const part = pages.chain((order) =>
      fc.record({
        order: fc.constant(order),
        offset: fc.nat(order.length * PAGE - 1),
        seed: fc.integer({ min: 1, max: 255 }),
      }),
    );

    fc.assert(
      fc.property(part, fc.nat(3 * PAGE), ({ order, offset, seed }, wanted) => {
        const bench = new Bench();
        const lengthBytes = Math.min(wanted, order.length * PAGE - offset);
        order.forEach((page, index) => {
          bench.putPage(index, 0x10_0000 + page * PAGE, VALID | WRITABLE);
        });
        const bytes = Uint8Array.from({ length: lengthBytes }, (_, at) => (at * seed) & 0xff);
        bench.model.inspect().vram.write(100, bytes);

        bench.run(0, [VRAM_TO_GART, 100, offset, lengthBytes]);
        bench.run(1, [GART_TO_VRAM, offset, 0x10_0000, lengthBytes]);

        const back = new Uint8Array(lengthBytes);
        bench.model.inspect().vram.read(0x10_0000, back);
        const inMemory = Uint8Array.from({ length: lengthBytes }, (_, at) => {
          const page = order[Math.floor((offset + at) / PAGE)] as number;
          return bench.port.memory.readNumber(0x10_0000 + page * PAGE + ((offset + at) % PAGE), 1);
        });
        expect(inMemory).toEqual(bytes);
        expect(back).toEqual(bytes);
      }),
      { numRuns: 40 },
    );
  });

  it.each<[string, number, Row, number]>([
    ["a page that is not valid", 0, [GART_TO_VRAM, PAGE + 8, 0, 16], PAGE + 8],
    ["a page that may not be written", VALID, [VRAM_TO_GART, 0, PAGE + 8, 16], PAGE + 8],
    ["the end of the aperture", VALID, [GART_TO_VRAM, 16 * PAGE - 8, 0, 16], 16 * PAGE],
  ])("faults at %s, says where, and moves nothing", (_, flags, row, at) => {
    const bench = new Bench();
    bench.port.memory.fill(0x11, 0x10_0000, PAGE);
    bench.putPage(1, 0x10_0000, flags);

    bench.run(0, row);
    const fault = bench.fault(0);
    bench.start(0);
    bench.run(0, [FENCE, 0, 3, 0]);

    expect(fault).toEqual([HALTED, GART_FAULT, at]);
    expect(bench.model.inspect().vram.readNumber(0, 8)).toBe(0);
    expect(bench.port.memory.readNumber(0x10_0008, 1)).toBe(0x11);
    expect(bench.fault(0)).toEqual([1, 0, 0]);
  });

  it("uses an entry that was changed until it is flushed", () => {
    const bench = new Bench();
    bench.port.memory.fill(0xaa, 0x10_0000, PAGE);
    bench.port.memory.fill(0xbb, 0x20_0000, PAGE);
    const read = (): number => {
      bench.run(0, [GART_TO_VRAM, 0, 0, 1]);
      return bench.model.inspect().vram.readNumber(0, 1);
    };
    bench.putPage(0, 0x10_0000, VALID);
    const first = read();
    bench.putPage(0, 0x20_0000, VALID);

    const stale = read();
    bench.registers.write32(0x54, 1);

    expect([first, stale, read()]).toEqual([0xaa, 0xaa, 0xbb]);
  });

  it("is gone after a reset", () => {
    const bench = new Bench();
    bench.putPage(0, 0x10_0000, VALID);

    bench.model.reset();
    bench.start(0);
    bench.run(0, [GART_TO_VRAM, 0, 0, 1]);

    expect(bench.fault(0)).toEqual([HALTED, GART_FAULT, 0]);
  });
});
