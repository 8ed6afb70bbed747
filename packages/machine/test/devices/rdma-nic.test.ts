import { type BarShape, createRdmaNic, RdmaWire } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 256, prefetchable: false },
  { index: 1, sizeBytes: 4096, prefetchable: false },
  { index: 4, sizeBytes: 16_384, prefetchable: true },
];
const COMMANDS = 0x1000;
const COMPLETIONS = 0x2000;
const TABLE = 0x3000;

/** A driver's hand on the NIC. */
class Bench {
  readonly port = new FakePort();
  readonly registers: RegisterFile;
  #tail = 0;
  #head = 0;

  constructor(wire: RdmaWire = new RdmaWire(), completionEntries = 16) {
    this.registers = connectRegisters(createRdmaNic({ wire }), this.port, BARS, 1);
    this.registers.write32(0x20, COMMANDS);
    this.registers.write32(0x28, 16);
    this.registers.write32(0x30, COMPLETIONS);
    this.registers.write32(0x38, completionEntries);
    this.registers.write32(0x0c, 1);
  }

  /** `[offset, size, value]` of each field that is not 0. */
  send(...fields: readonly (readonly [number, number, number])[]): void {
    for (const [offset, size, value] of fields) {
      this.port.memory.writeNumber(COMMANDS + 64 * this.#tail + offset, size, value);
    }
    this.#tail = (this.#tail + 1) % 16;
    this.registers.write32(0x2c, this.#tail);
    this.port.clock.run();
  }

  answer(): { tag: number; status: number; result: number } {
    const at = COMPLETIONS + 32 * this.#head++;
    const { memory } = this.port;
    const [tag, status] = [memory.readNumber(at, 4), memory.readNumber(at + 4, 4)];
    return { tag, status, result: memory.readNumber(at + 12, 4) };
  }

  /** One segment of one page at 0x8000. */
  registerPage(lengthBytes = 4096): { tag: number; status: number; result: number } {
    this.port.memory.writeNumber(TABLE, 8, 0x8000);
    this.port.memory.writeNumber(TABLE + 8, 8, 4096);
    this.send([0, 4, 1], [4, 4, 9], [8, 8, TABLE], [16, 8, lengthBytes], [24, 4, 1], [28, 4, 7]);
    return this.answer();
  }
}

describe("RDMA NIC model", () => {
  it("answers in the first memory BAR of at least 4 KiB, with its place on the wire", () => {
    const wire = new RdmaWire();
    const [one, other] = [new Bench(wire), new Bench(wire)];

    expect(one.registers.read32(0x00)).toBe(0x4e52_4250);
    expect([one.registers.read32(0x08), other.registers.read32(0x08)]).toEqual([1, 2]);
    expect(one.registers.read32(0x10)).toBe(1);
  });

  it("does not fit a function without such a BAR", () => {
    expect(() => createRdmaNic().connect(new FakePort(), BARS.slice(0, 1))).toThrow(
      "a memory BAR of at least 4 KiB",
    );
  });

  it("stays stopped with a queue of one entry", () => {
    expect(new Bench(new RdmaWire(), 1).registers.read32(0x10)).toBe(0);
  });

  it("gives a region a key, and another one when its slot is used again", () => {
    const bench = new Bench();

    const first = bench.registerPage();
    bench.send([0, 4, 2], [32, 4, first.result]);
    const removed = bench.answer();
    bench.port.memory.fill(0, COMMANDS, 4096);
    const second = bench.registerPage();

    expect([first.status, removed.status, second.status]).toEqual([0, 0, 0]);
    expect(first.tag).toBe(9);
    expect(second.result >>> 8).toBe(first.result >>> 8);
    expect(second.result).not.toBe(first.result);
  });

  it("refuses a region longer than its segments, and one whose table it cannot read", () => {
    const bench = new Bench();

    const tooLong = bench.registerPage(4097);
    bench.port.holes.push([TABLE, TABLE + 16]);
    const unreachable = bench.registerPage();

    expect([tooLong.status, unreachable.status]).toEqual([1, 3]);
  });

  it("stops with a fatal status when nobody takes its completions", () => {
    const bench = new Bench(new RdmaWire(), 2);

    bench.send([0, 4, 99]);
    const before = bench.registers.read32(0x10);
    bench.send([0, 4, 99]);

    expect([before, bench.registers.read32(0x10)]).toEqual([1, 2]);
  });

  it("stops with a fatal status when a command cannot be fetched, until it is started anew", () => {
    const bench = new Bench();
    bench.port.holes.push([COMMANDS, COMMANDS + 64]);

    bench.send([0, 4, 99]);
    const during = bench.registers.read32(0x10);
    bench.registers.write32(0x0c, 1);

    expect([during, bench.registers.read32(0x10)]).toEqual([2, 1]);
  });
});
