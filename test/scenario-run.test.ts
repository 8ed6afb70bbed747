/** The scenario API: whole scenarios in a harness, and the examples that show it. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openScenario } from "peerbuf";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

describe("a scenario in code", () => {
  it("runs transfers by name, as often as wanted, on machines that can be looked at", async () => {
    const run = await openScenario(`${ROOT}examples/two-machines.yaml`);

    const before = run.machine("b").inspect.memoryTraffic().readBytes;
    const first = await run.transfer("checkpoint");
    const again = await run.transfer("checkpoint");

    expect(run.transfers).toEqual(["checkpoint"]);
    expect([first.arrived, again.arrived]).toEqual([true, true]);
    expect(again.elapsedNs).toBeCloseTo(first.elapsedNs as number, 3);
    expect(run.machine("a").clock).toBe(run.machine("b").clock);
    expect(run.machine("b").inspect.memoryTraffic().readBytes).toBeGreaterThan(before);
    await run.close();
  });

  it("may be a value instead of a file", async () => {
    const run = await openScenario({
      devices: { "13:00.0": { model: "gpu" }, "16:00.0": { model: "nvme" } },
      transfers: [
        {
          name: "one",
          exporter: "13:00.0",
          buffer: { size: "64 KiB" },
          importer: "16:00.0",
          operation: "nvme-write",
        },
      ],
    });

    const [one] = await run.all();
    await run.close();

    expect(one).toMatchObject({ arrived: true, route: "bus-addr" });
  });

  it("refuses what does not fit, with the place", async () => {
    const wrong = openScenario({ devices: {}, transfers: [] });

    await expect(wrong).rejects.toThrow(/^the scenario:\d+:\d+: transfers: expected at least one/);
  });

  it("knows its machines and transfers by name", async () => {
    const run = await openScenario(`${ROOT}examples/two-machines.yaml`);

    expect(() => run.machine("c")).toThrow('no machine is called "c", but "a", "b"');
    await expect(run.transfer("nothing")).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
    await run.close();
  });
});

describe("examples/two-machines.js", () => {
  it("runs as it stands, on the built packages", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["examples/two-machines.js"], {
      cwd: ROOT,
    });

    expect(stdout).toContain("true the hashes are equal");
    expect(stdout).toMatch(/machine b: \d+ bytes in host memory/);
  });
});
