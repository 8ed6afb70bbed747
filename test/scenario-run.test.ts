/** The scenario API: whole scenarios in a harness, and the examples that show it. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { InputError } from "@peerbuf/core";
import fc from "fast-check";
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

/** Two machines with everything that a scenario can say of them. */
const FULL = {
  machines: {
    a: {
      capture: "server-05",
      kernel: "6.12",
      trust: "rules",
      machine: {
        memory: { perNode: "64 MiB", pages: "packed" },
        rootComplex: "forwards",
        dma: "iommu",
        busOffset: { "0000:10": 4096 },
        acsControl: { "12:03.0": 1 },
        seed: 3,
      },
      devices: { "13:00.0": { model: "gpu", vram: "16 MiB" }, "15:00.0": { model: "rdma" } },
      faults: [
        { fault: "delay", device: "15:00.0", kind: "write", nth: 2, times: "always", delayNs: 10 },
        {
          seed: 1,
          devices: ["13:00.0"],
          count: 2,
          faults: ["duplicate"],
          nthMax: 4,
          during: "one",
        },
      ],
    },
    b: {
      capture: "server-05",
      devices: {
        "15:00.0": { model: "rdma", peerToPeer: "accept" },
        "16:00.0": { model: "nvme", namespace: "1 MiB", memoryBuffer: false },
      },
    },
  },
  transfers: [
    {
      name: "one",
      exporter: "a/13:00.0",
      buffer: { size: 8192, place: "visible" },
      importer: "a/15:00.0",
      operation: "rdma-write",
      remote: { importer: "b/15:00.0", exporter: "b/system-heap", drive: "b/16:00.0" },
      data: { seed: 9 },
      limitNs: 1e9,
    },
  ],
};

type Path = readonly (string | number)[];

/** Where there is a value, however deep. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  const entries =
    typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))
      : [];
  return [path, ...entries].filter(({ length }) => length > 0);
}

function changedAt(value: unknown, [key, ...rest]: Path, replacement: unknown): unknown {
  if (key === undefined) {
    return replacement;
  }
  const copy = structuredClone(value) as Record<string, unknown>;
  copy[key] = changedAt(copy[key], rest, replacement);
  return copy;
}

describe("whatever a scenario says", () => {
  it("runs as it stands", async () => {
    const run = await openScenario(FULL);
    const [one] = await run.all();
    await run.close();

    expect(one?.error).toBeUndefined();
    expect(one?.remote?.drive?.target).toBe("system");
  });

  it("a memory buffer where the function has no room for one is refused at its field", async () => {
    const path = ["machines", "b", "devices", "16:00.0", "memoryBuffer"];
    const wrong = openScenario(changedAt(FULL, path, true) as object);

    await expect(wrong).rejects.toThrow(InputError);
    await expect(wrong).rejects.toThrow('machines.b.devices["16:00.0"]: 0000:16:00.0: its driver');
  });

  it("it is run, or refused with an InputError, whichever value is replaced by whatever", async () => {
    const strange = [null, true, -1, 0.5, 1e18, "", "x", "13:00.0", "a/b/c", [], [1], {}, { a: 1 }];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...pathsOf(FULL)),
        fc.constantFrom(...strange),
        async (path, replacement) => {
          try {
            const run = await openScenario(changedAt(FULL, path, replacement) as object);
            await run.all();
            await run.close();
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
          }
        },
      ),
      { numRuns: 150 },
    );
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
