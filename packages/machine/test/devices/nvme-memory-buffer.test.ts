import { type BarShape, createNvmeController, type NvmeController } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

const MIB = 2 ** 20;
const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 16_384, prefetchable: false },
  { index: 2, sizeBytes: 4 * MIB, prefetchable: true },
];
const [CAP_HIGH, CMBLOC, CMBSZ, CMBMSC] = [0x04, 0x38, 0x3c, 0x50];

function start(
  memoryBuffer: boolean,
  bars: readonly BarShape[] = BARS,
): { model: NvmeController; registers: RegisterFile; port: FakePort } {
  const port = new FakePort();
  const model = createNvmeController({ memoryBuffer });
  return { model, port, registers: connectRegisters(model, port, bars, 0) };
}

describe("NVMe controller memory buffer", () => {
  it("says that it is there, and where and how large once the host enables its registers", () => {
    const { registers } = start(true);
    const before = [registers.read32(CMBLOC), registers.read32(CMBSZ)];

    registers.write32(CMBMSC, 1);

    const size = registers.read32(CMBSZ);
    expect(registers.read32(CAP_HIGH) & (1 << 25)).not.toBe(0);
    expect(before).toEqual([0, 0]);
    expect(registers.read32(CMBLOC)).toBe(2);
    expect((size >>> 12) * 2 ** (12 + 4 * ((size >>> 8) & 0xf))).toBe(4 * MIB);
    expect(size & 0x1f).toBe((1 << 3) | (1 << 4));
  });

  it("is a BAR of memory for peers", () => {
    const port = new FakePort();
    const model = createNvmeController({ memoryBuffer: true });

    const bar = model.connect(port, BARS).get(2);

    expect(bar).toMatchObject({ kind: "memory", base: 0 });
    expect(model.inspect().memoryBuffer?.sizeBytes).toBe(4 * MIB);
  });

  it("is empty and hidden again after power-on", () => {
    const { model, registers } = start(true);
    registers.write32(CMBMSC, 1);
    model.inspect().memoryBuffer?.fill(0x5a, 0, 4096);

    model.reset();

    const bytes = new Uint8Array(4096);
    model.inspect().memoryBuffer?.read(0, bytes);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(registers.read32(CMBSZ)).toBe(0);
  });

  it.each([
    ["not asked for", false, BARS],
    ["without a BAR to lie in", true, BARS.slice(0, 1)],
  ])("is absent when %s: its registers read as 0", (_when, memoryBuffer, bars) => {
    const { model, registers } = start(memoryBuffer, bars);

    registers.write32(CMBMSC, 1);

    expect(registers.read32(CAP_HIGH) & (1 << 25)).toBe(0);
    expect([CMBLOC, CMBSZ, CMBMSC].map((offset) => registers.read32(offset))).toEqual([0, 0, 0]);
    expect(model.inspect().memoryBuffer).toBeUndefined();
  });
});
