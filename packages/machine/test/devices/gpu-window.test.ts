import { type BarModel, type BarShape, createGpu } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { FakePort } from "./fake-port.ts";

const MIB = 2 ** 20;
const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 16 * MIB, prefetchable: true },
  { index: 2, sizeBytes: 4096, prefetchable: false },
];
const [VISIBLE_PAGES, SIZES, SIZE] = [0x0c, 0x60, 0x64];

function connect(windowBytes?: number) {
  const model = createGpu({
    vramBytes: 32 * MIB,
    ...(windowBytes === undefined ? {} : { windowBytes }),
  });
  const bars = model.connect(new FakePort(), BARS);
  const registers = bars.get(2) as Extract<BarModel, { kind: "registers" }>;
  const window = bars.get(0) as BarModel;
  const answersAt = (offset: number): boolean => window.accepts?.(offset, 4, "read") ?? true;
  const visibleMib = (): number => (registers.read(VISIBLE_PAGES, 4) * 4096) / MIB;
  return { model, registers, answersAt, visibleMib };
}

describe("GPU model, resizable BAR", () => {
  it("is fixed and whole unless it is said to be resizable", () => {
    const { registers, answersAt, visibleMib } = connect();

    registers.write(SIZE, 4, 1);

    expect([registers.read(SIZES, 4), visibleMib()]).toEqual([0, 16]);
    expect(answersAt(16 * MIB - 4)).toBe(true);
  });

  it("shows little after power-on, and more when a driver asks for a size that it may have", () => {
    const { registers, answersAt, visibleMib } = connect(2 * MIB);
    const before = [answersAt(2 * MIB - 4), answersAt(2 * MIB - 2), visibleMib()];

    registers.write(SIZE, 4, 3);

    expect(before).toEqual([true, false, 2]);
    expect(registers.read(SIZES, 4)).toBe(0b1_1110);
    expect([answersAt(8 * MIB - 4), answersAt(8 * MIB), visibleMib()]).toEqual([true, false, 8]);
  });

  it.each([0, 5, 31, 0xffff_ffff])("ignores size %d, which it may not have", (power) => {
    const { registers, visibleMib } = connect(2 * MIB);

    registers.write(SIZE, 4, power);

    expect(visibleMib()).toBe(2);
  });

  it("is small again after a reset", () => {
    const { model, registers, visibleMib } = connect(2 * MIB);
    registers.write(SIZE, 4, 4);

    model.reset();

    expect(visibleMib()).toBe(2);
  });

  it.each([3 * MIB, MIB / 2, 32 * MIB])("cannot come up with %d bytes", (windowBytes) => {
    expect(() => connect(windowBytes)).toThrow("no size of a resizable BAR");
  });
});
