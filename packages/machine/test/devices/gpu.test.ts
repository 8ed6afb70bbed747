import { type BarShape, createGpu, type Gpu } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

const MIB = 2 ** 20;
const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 4 * MIB, prefetchable: true },
  { index: 2, sizeBytes: 4096, prefetchable: false },
];
const RING = 0x1000;
const ENTRIES = 8;
const FENCE = 0x3000;
const VRAM_BYTES = 8 * MIB;

type Row = readonly [
  opcode: number,
  pattern: number,
  source: number,
  target: number,
  length: number,
];
const fill = (pattern: number, target: number, length: number): Row => [
  1,
  pattern,
  0,
  target,
  length,
];
const vramToDma = (source: number, target: number, length: number): Row => [
  2,
  0,
  source,
  target,
  length,
];
const dmaToVram = (source: number, target: number, length: number): Row => [
  3,
  0,
  source,
  target,
  length,
];
const vramToVram = (source: number, target: number, length: number): Row => [
  4,
  0,
  source,
  target,
  length,
];
const fence = (value: number): Row => [5, 0, 0, value, 0];

/** A driver's hand on the engine. */
class Bench {
  readonly port = new FakePort();
  readonly model: Gpu = createGpu({ vramBytes: VRAM_BYTES });
  readonly registers: RegisterFile = connectRegisters(this.model, this.port, BARS, 2);
  #tail = 0;

  constructor() {
    this.start();
  }

  start(): void {
    this.#tail = 0;
    this.registers.write32(0x10, RING);
    this.registers.write32(0x18, ENTRIES);
    this.registers.write32(0x28, FENCE);
    this.registers.write32(0x1c, 1);
  }

  run(...rows: readonly Row[]): void {
    for (const [opcode, pattern, source, target, length] of rows) {
      const { memory } = this.port;
      const at = RING + 32 * this.#tail;
      memory.writeNumber(at, 4, opcode);
      memory.writeNumber(at + 4, 4, pattern);
      memory.writeNumber(at + 8, 8, source);
      memory.writeNumber(at + 16, 8, target);
      memory.writeNumber(at + 24, 8, length);
      this.#tail = (this.#tail + 1) % ENTRIES;
      this.registers.write32(0x20, this.#tail);
      this.port.clock.run();
    }
  }

  vram(offset: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    this.model.inspect().vram.read(offset, bytes);
    return bytes;
  }
}

describe("GPU model", () => {
  it("shows the first part of VRAM in its largest prefetchable BAR, and says how much", () => {
    const model = createGpu({ vramBytes: VRAM_BYTES });
    const bars = model.connect(new FakePort(), BARS);
    const { registers } = new Bench();

    expect(bars.get(0)).toMatchObject({ kind: "memory", base: 0 });
    expect(registers.read32(0x08)).toBe(VRAM_BYTES / 4096);
    expect(registers.read32(0x0c)).toBe((4 * MIB) / 4096);
  });

  it("does not fit a function without a prefetchable BAR or without one for registers", () => {
    for (const bar of BARS) {
      expect(() => createGpu().connect(new FakePort(), [bar])).toThrow("the gpu model needs");
    }
  });

  it("writes a fence after the work before it, and interrupts", () => {
    const bench = new Bench();

    bench.run(fill(0x0403_0201, 5 * MIB, 8), fence(77));

    expect([...bench.vram(5 * MIB, 8)]).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
    expect(bench.port.memory.readNumber(FENCE, 8)).toBe(77);
    expect(bench.port.interrupts).toEqual([0]);
  });

  it("copies as a plain array would, whatever the order of commands", () => {
    const bench = new Bench();
    const span = 64 * 1024;
    const dmaAt = 8 * MIB;
    const vram = new Uint8Array(span);
    const memory = Uint8Array.from({ length: span }, (_, index) => (index * 13) & 0xff);
    bench.port.memory.write(dmaAt, memory);
    const commands = fc.record({
      kind: fc.constantFrom("fill", "out", "in", "within"),
      source: fc.nat(span / 2),
      target: fc.nat(span / 2),
      length: fc.nat(span / 2),
      pattern: fc.nat(0xffff_ffff),
    });

    fc.assert(
      fc.property(commands, ({ kind, source, target, length, pattern }) => {
        switch (kind) {
          case "fill":
            for (let index = 0; index < length; index++) {
              vram[target + index] = (pattern >>> (8 * (index % 4))) & 0xff;
            }
            bench.run(fill(pattern, target, length));
            break;
          case "out":
            memory.set(vram.subarray(source, source + length), target);
            bench.run(vramToDma(source, dmaAt + target, length));
            break;
          case "in":
            vram.set(memory.subarray(source, source + length), target);
            bench.run(dmaToVram(dmaAt + source, target, length));
            break;
          default:
            vram.copyWithin(target, source, source + length);
            bench.run(vramToVram(source, target, length));
        }
        const seen = new Uint8Array(span);
        bench.port.memory.read(dmaAt, seen);
        expect(Buffer.compare(bench.vram(0, span), vram)).toBe(0);
        expect(Buffer.compare(seen, memory)).toBe(0);
      }),
    );
  });

  it.each([
    ["a command past the end of VRAM", fill(0, VRAM_BYTES - 4, 8), 3],
    ["an unknown command", [9, 0, 0, 0, 0] as Row, 2],
    ["a read that reaches nothing", dmaToVram(0x7000_0000, 0, 4096), 4],
  ])("halts with a fault and an interrupt at %s", (_, command, fault) => {
    const bench = new Bench();

    bench.run(command, fence(1));

    expect(bench.registers.read32(0x30)).toBe(2);
    expect(bench.registers.read32(0x34)).toBe(fault);
    expect(bench.port.interrupts).toEqual([0]);
    expect(bench.port.memory.readNumber(FENCE, 8)).toBe(0);
  });

  it("works again after it was stopped and started", () => {
    const bench = new Bench();
    bench.run([9, 0, 0, 0, 0]);

    bench.start();
    bench.run(fence(5));

    expect(bench.registers.read32(0x30)).toBe(1);
    expect(bench.port.memory.readNumber(FENCE, 8)).toBe(5);
  });

  it("forgets work in flight when it is stopped", () => {
    const bench = new Bench();
    bench.port.clock.schedule(1_200, () => bench.registers.write32(0x1c, 0));

    bench.run(fill(0xffff_ffff, 0, 4096));

    expect(bench.vram(0, 4096)).toEqual(new Uint8Array(4096));
  });

  it("halts when the ring itself cannot be read", () => {
    const bench = new Bench();
    bench.port.holes.push([RING, RING + 4096]);

    bench.run(fence(1));

    expect(bench.registers.read32(0x34)).toBe(1);
  });

  it("does not notice a copy that got lost on the way", () => {
    const bench = new Bench();

    bench.run(vramToDma(0, 0x7000_0000, 4096), fence(2));

    expect(bench.port.memory.readNumber(FENCE, 8)).toBe(2);
  });

  it("stays stopped with a ring of one entry", () => {
    const bench = new Bench();
    bench.registers.write32(0x18, 1);
    bench.registers.write32(0x1c, 1);

    expect(bench.registers.read32(0x30)).toBe(0);
  });

  it("forgets VRAM and setup at power-on", () => {
    const bench = new Bench();
    bench.run(fill(0xffff_ffff, 0, 4096));

    bench.model.reset();

    expect(bench.vram(0, 4096)).toEqual(new Uint8Array(4096));
    expect(bench.registers.read32(0x30)).toBe(0);
  });
});
