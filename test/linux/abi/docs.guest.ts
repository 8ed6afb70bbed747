/** The programs of `docs/linux.md` that need dma-bufs print what stands below them. */
import { DrmDevice, drmNodes } from "@peerbuf/linux";
import { expect, it } from "vitest";
import { programsIn, runProgram } from "../page-programs.ts";
import { hasSystemHeap } from "./any-dma-buf.ts";

const programs = programsIn("docs/linux.md");

function vgemNode(): string {
  const found = drmNodes().find((path) => {
    using device = new DrmDevice(path);
    return device.driverName === "vgem";
  });
  return found ?? "no vgem node";
}

it.skipIf(!hasSystemHeap)(
  "docs/linux.md: what needs dma-bufs prints what is written there",
  async () => {
    const needing = programs.filter(({ needs }) => needs === "dma-buf");
    expect(needing.length).toBeGreaterThan(0);
    for (const program of needing) {
      expect(await runProgram(programs, program, [vgemNode()])).toBe(program.prints);
    }
  },
);
