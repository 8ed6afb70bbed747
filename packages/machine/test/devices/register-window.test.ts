import { type BarModel, createNvmeController } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { FakePort } from "./fake-port.ts";

const shape = [{ index: 0, sizeBytes: 16_384, prefetchable: false }];

function registers(): Extract<BarModel, { kind: "registers" }> {
  const bar = createNvmeController().connect(new FakePort(), shape).get(0);
  if (bar?.kind !== "registers") {
    throw new Error("BAR0 of an NVMe controller holds registers");
  }
  return bar;
}

describe("registers of a modelled device", () => {
  it("can be read in 1, 2, 4 and 8 bytes", () => {
    const bar = registers();

    expect(bar.read(0x08, 4)).toBe(0x0001_0400);
    expect(bar.read(0x09, 1)).toBe(0x04);
    expect(bar.read(0x0a, 2)).toBe(0x0001);
    expect(bar.read(0x00, 8)).toBe(0x20 * 2 ** 32 + bar.read(0x00, 4));
  });

  it("take 8 bytes as two registers, and drop narrow writes", () => {
    const bar = registers();

    bar.write(0x28, 8, 0x12_3456_7000);
    bar.write(0x28, 2, 0xffff);

    expect([bar.read(0x28, 4), bar.read(0x2c, 4)]).toEqual([0x3456_7000, 0x12]);
  });
});
