/**
 * Two machines, end to end: GPU memory on one to a file on disk behind an NVMe drive of the other.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runShape } from "peerbuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { peerbuf } from "../packages/cli/test/console.ts";

const FIXTURES = fileURLToPath(new URL("fixtures/", import.meta.url));
const SCENARIO = readFileSync(new URL("scenarios/two-machines.yaml", import.meta.url), "utf8");
const KIB = 1024;

interface HostMemoryUse {
  readonly machine: string;
  readonly deviceBytes: number;
  readonly processorBytes: number;
}

interface Transfer {
  readonly bytes: number;
  readonly arrived: boolean;
  readonly lostBytes: number;
  readonly sha256: { readonly source: string; readonly destination: string };
  readonly hostMemory: readonly HostMemoryUse[];
  readonly passed: readonly { readonly at: string; readonly bytes: number }[];
}

/** Runs a scenario in a folder of its own, in which the drive's file then is. */
async function run(text: string): Promise<{ code: number; transfers: Transfer[]; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-two-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "mine.yaml"), text.replaceAll("../fixtures/", FIXTURES));
  const { code, stdout, stderr } = await peerbuf(["run", "mine.yaml", "--json"], { cwd: folder });
  expect(stderr).toBe("");
  const answer = JSON.parse(stdout);
  expect(runShape.safeParse(answer).error).toBeUndefined();
  return { code, transfers: answer.transfers, folder };
}

const passedAt = ({ passed }: Transfer, at: string): number =>
  passed.find((each) => each.at === at)?.bytes ?? 0;

const startOfFile = (path: string, lengthBytes: number): string =>
  createHash("sha256").update(readFileSync(path).subarray(0, lengthBytes)).digest("hex");

describe("GPU, NIC, wire, NIC, NVMe file on disk", () => {
  it("the file has the hash of the source", async () => {
    const { code, transfers, folder } = await run(SCENARIO);

    const [sent] = transfers as [Transfer];
    expect({ code, arrived: sent.arrived, lost: sent.lostBytes }).toEqual({
      code: 0,
      arrived: true,
      lost: 0,
    });
    expect(startOfFile(join(folder, "drive.img"), sent.bytes)).toBe(sent.sha256.source);
    expect(sent.sha256.destination).toBe(sent.sha256.source);
  });

  it("each hop carries the bytes once", async () => {
    const { transfers } = await run(SCENARIO);

    const [sent] = transfers as [Transfer];
    for (const port of ["a/0000:12:00.0", "a/0000:12:02.0", "b/0000:12:01.0", "b/0000:12:02.0"]) {
      const carried = passedAt(sent, port);
      expect(carried, port).toBeGreaterThanOrEqual(sent.bytes);
      expect(carried, port).toBeLessThan(sent.bytes + sent.bytes / 128);
    }
  });

  it("host memory holds commands and completions only, on both sides", async () => {
    const { transfers } = await run(SCENARIO);

    const [sent] = transfers as [Transfer];
    // For 512 KiB a drive fetches a command (64 B) and a list of 128 pages (1 KiB) and reports once (16 B); a NIC
    // does with less. Twice that, and a page for connecting and flushing, is the bound.
    const bound = (sent.bytes / (512 * KIB)) * 2 * (64 + KIB + 16) + 4 * KIB;
    expect(bound).toBeLessThan(sent.bytes / 200);
    expect(sent.hostMemory.map(({ machine }) => machine)).toEqual(["a", "b"]);
    for (const { machine, deviceBytes, processorBytes } of sent.hostMemory) {
      expect(deviceBytes, machine).toBeGreaterThan(0);
      expect(deviceBytes, machine).toBeLessThan(bound);
      expect(processorBytes, machine).toBe(0);
      // Nor did the processors carry them past host memory: everything of theirs goes by the root complex too.
      expect(passedAt(sent, `${machine}/root complex`), machine).toBeLessThan(bound);
    }
  });

  it("by way of the heap host memory carries them twice: the counters do show a copy", async () => {
    const byHeap = SCENARIO.replace('exporter: "b/15:00.0"', "exporter: b/system-heap");

    const { code, transfers } = await run(byHeap);

    const [sent] = transfers as [Transfer];
    expect({ code, arrived: sent.arrived }).toEqual({ code: 0, arrived: true });
    const [a, b] = sent.hostMemory as [HostMemoryUse, HostMemoryUse];
    expect(b.deviceBytes).toBeGreaterThanOrEqual(2 * sent.bytes);
    expect(a.deviceBytes).toBeLessThan(16 * KIB);
  });
});

describe("a fault in a scenario of several machines is told with its place", () => {
  it.each([
    [
      "a machine that is not there",
      'importer: "a/15:00.0"',
      'importer: "c/15:00.0"',
      '"c" is none of',
    ],
    ["no machine at all", 'importer: "a/15:00.0"', 'importer: "15:00.0"', '"" is none of'],
    [
      "memory of another machine",
      'importer: "a/15:00.0"',
      'importer: "b/14:00.0"',
      "cannot share memory of a/0000:13:00.0: they are in two machines",
    ],
    [
      "a drive on another machine than the bytes",
      'drive: "b/15:00.0"',
      'drive: "a/13:00.0"',
      "a/0000:13:00.0 has the model gpu, a nvme is needed here",
    ],
    [
      "a drive without a memory buffer as the place",
      "memoryBuffer: true, ",
      "",
      "b/0000:15:00.0 has the model nvme, a gpu is needed here",
    ],
    [
      "a folder where the drive's file should be",
      "file: drive.img",
      "file: .",
      'machines.b.devices["15:00.0"]: ',
    ],
    [
      "a field of one machine beside machines",
      "transfers:",
      "trust: rules\ntransfers:",
      "unknown field",
    ],
  ])("%s", async (_, before, after, message) => {
    const folder = mkdtempSync(join(tmpdir(), "peerbuf-two-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const text = SCENARIO.replaceAll("../fixtures/", FIXTURES).replace(before, after);
    writeFileSync(join(folder, "s.yaml"), text);

    const { code, stdout, stderr } = await peerbuf(["run", "s.yaml"], { cwd: folder });

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^peerbuf: s\.yaml:\d+:\d+: /);
    expect(stderr).toContain(message);
  });

  it("--capture names one machine and is refused", async () => {
    const scenario = fileURLToPath(new URL("scenarios/two-machines.yaml", import.meta.url));

    const { code, stderr } = await peerbuf(["run", scenario, "--capture", "server-05"]);

    expect(code).toBe(2);
    expect(stderr).toContain("the scenario has 2 machines, --capture and --live name one");
  });
});
