/**
 * `docs/linux.md` says what is true: every program in it is run, and prints what stands below it. Those that need
 * dma-bufs or peer-to-peer are run in the guests.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { programsIn, ROOT, runProgram } from "../../../test/linux/page-programs.ts";

const programs = programsIn("docs/linux.md");

describe.skipIf(process.platform !== "linux")("docs/linux.md", () => {
  it.each(
    programs.filter(({ needs }) => needs === "nothing").map((each) => [each.line, each] as const),
  )("the program in line %i prints what is written there", async (_, program) => {
    expect(await runProgram(programs, program)).toBe(program.prints);
  });

  it("every other program names what it needs, and there is a guest for it", () => {
    const needs = new Set(programs.map((each) => each.needs));
    expect(needs).toEqual(new Set(["nothing", "dma-buf", "p2pdma"]));
  });

  it("gets someone from the installation to a shared buffer in under 30 lines", () => {
    const page = readFileSync(`${ROOT}/docs/linux.md`, "utf8");
    const [parent, child] = programs;
    expect([parent?.name, child?.name]).toEqual(["parent.mjs", "child.mjs"]);
    expect(`${parent?.text}${child?.text}`.trimEnd().split("\n").length).toBeLessThan(30);
    expect(page.slice(0, page.indexOf("## ")).split("\n").length).toBeLessThan(48);
  });

  it("the script that builds the P2PDMA kernel is a script, and its options ask for peer-to-peer", () => {
    const folder = `${ROOT}/test/linux/p2pdma`;
    execFileSync("sh", ["-n", `${folder}/build-kernel.sh`]);
    expect(readFileSync(`${folder}/kernel-options.config`, "utf8")).toContain(
      "CONFIG_PCI_P2PDMA=y",
    );
  });
});
