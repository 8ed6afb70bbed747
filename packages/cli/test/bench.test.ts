import { benchShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { peerbuf } from "./console.ts";

interface Result {
  name: string;
  value: number;
  ratio?: number;
  ok: boolean;
}

const NAMES = [
  "topology.all-pairs",
  "topology.captured-pairs",
  "fleet.captures",
  "fleet.memory",
  "core.map-cycle",
  "core.pin-cycle",
  "core.map-cycle-memory",
  "core.reservation-adds",
  "core.fence-merge",
  "machine.dma-2MiB",
  "machine.dma-64KiB",
  "machine.dma-4KiB",
  "machine.dma-iommu-2MiB",
  "machine.requests-iommu-4KiB",
  "machine.transfers",
  "machine.clock-events",
  "machine.memory",
  ...(process.platform === "linux"
    ? [
        "linux.hand-over-1GiB",
        "linux.hand-over-per-byte",
        "linux.hand-over",
        "linux.descriptor-passed",
        "linux.wait",
        "linux.bracket",
      ]
    : []),
  "testkit.schedules",
  "testkit.schedules-checked",
  "testkit.reduction-two-importers",
  "testkit.reduction-two-buffers",
  "testkit.reduction-pinned-and-movable",
];

describe("bench", () => {
  it("--json keeps its shape, and the exit code says whether all bars are met", async () => {
    const { code, stdout, stderr } = await peerbuf(["bench", "--quick", "--json"]);

    expect(stderr).toBe("");
    const answer = JSON.parse(stdout) as { results: Result[] };
    expect(benchShape.safeParse(answer).error).toBeUndefined();
    expect(answer.results.map(({ name }) => name)).toEqual(NAMES);
    expect(answer.results.filter(({ value }) => !(value >= 0))).toEqual([]);
    expect(code).toBe(answer.results.every(({ ok }) => ok) ? 0 : 1);
  });

  it("a filter runs those with it in their names", async () => {
    const { stdout } = await peerbuf(["bench", "map-cycle", "--quick"]);

    expect(stdout).toContain("core.map-cycle ");
    expect(stdout).toContain("core.map-cycle-memory");
    expect(stdout).not.toContain("machine.");
  });

  it("a filter that fits none is refused with all names", async () => {
    const { code, stdout, stderr } = await peerbuf(["bench", "warp-drive"]);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    for (const name of NAMES) {
      expect(stderr).toContain(name);
    }
  });
});
