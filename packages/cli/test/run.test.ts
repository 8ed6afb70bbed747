import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, FIXTURES, peerbuf } from "./console.ts";

interface Decision {
  party: string;
  stage: string;
  verdict: string;
  reason: string;
}

interface Transfer {
  name: string;
  provider: string;
  client: string;
  target: string | null;
  route: string | null;
  remote?: { target: string; route: string };
  bytes: number;
  gigabytesPerSecond?: number;
  assumesLinks: boolean;
  sha256: { source: string | null; destination: string | null };
  arrived: boolean;
  error?: { code: string; message: string };
  decisions: Decision[];
  passed: { at: string; bytes: number }[];
  lostBytes: number;
}

interface Answer {
  code: number;
  ok: boolean;
  transfers: Transfer[];
}

/** Runs a scenario written to a file, and holds its JSON against the documented shape. */
async function run(scenario: string | undefined, ...options: string[]): Promise<Answer> {
  const cwd = emptyFolder();
  if (scenario !== undefined) {
    writeFileSync(join(cwd, "mine.yaml"), scenario);
  }
  const argv = ["run", ...(scenario === undefined ? [] : ["mine.yaml"]), "--json", ...options];
  const { code, stdout, stderr } = await peerbuf(argv, { cwd });
  expect(stderr).toBe("");
  const answer = JSON.parse(stdout);
  expect(runShape.safeParse(answer).error).toBeUndefined();
  return { code, ...answer };
}

const passedAt = ({ passed }: Transfer, at: string): number =>
  passed.find((each) => each.at === at)?.bytes ?? 0;

const decided = ({ decisions }: Transfer, party: string, verdict: string): string[] =>
  decisions
    .filter((one) => one.party === party && one.verdict === verdict)
    .map((one) => one.reason);

const HEAD = `
devices:
  "13:00.0": { model: gpu }
  "15:00.0": { model: rdma }
  "16:00.0": { model: nvme }
  "17:00.0": { model: nvme }
  "3e:00.0": { model: nvme }
transfers:
`;

const nvmeWrite = (importer: string, more = "") =>
  `  - { name: one, exporter: "13:00.0", buffer: { size: 256 KiB ${more} }, importer: "${importer}", operation: nvme-write }\n`;

describe("run, the embedded scenario", () => {
  it("every transfer arrives, by the way that was negotiated", async () => {
    const { code, ok, transfers } = await run(undefined);

    expect({ code, ok }).toEqual({ code: 0, ok: true });
    expect(
      transfers.map(({ provider, client, target, route }) => [provider, client, target, route]),
    ).toEqual([
      ["0000:13:00.0", "0000:16:00.0", "device", "bus-addr"],
      ["0000:13:00.0", "0000:15:00.0", "device", "bus-addr"],
      ["0000:13:00.0", "0000:17:00.0", "device", "host-bridge"],
      ["0000:13:00.0", "0000:16:00.0", "system", "system"],
      ["0000:3b:00.0", "0000:3f:00.0", "system", "system"],
      ["0000:13:00.0", "0000:3e:00.0", "system", "system"],
      ["system-heap", "0000:16:00.0", "system", "system"],
    ]);
    for (const { sha256, arrived, lostBytes } of transfers) {
      expect(arrived).toBe(true);
      expect(sha256.source).toBe(sha256.destination);
      expect(lostBytes).toBe(0);
    }
    expect(new Set(transfers.map(({ sha256 }) => sha256.source)).size).toBe(transfers.length);
  });

  it("below a switch the root complex carries commands only; through system memory, the bytes twice", async () => {
    const { transfers } = await run(undefined);
    const [belowSwitch, , throughHost, hidden] = transfers as [
      Transfer,
      Transfer,
      Transfer,
      Transfer,
    ];

    expect(passedAt(belowSwitch, "0000:12:00.0")).toBeGreaterThanOrEqual(belowSwitch.bytes);
    expect(passedAt(belowSwitch, "root complex")).toBeLessThan(belowSwitch.bytes / 8);
    expect(passedAt(throughHost, "root complex")).toBeGreaterThanOrEqual(2 * throughHost.bytes);
    expect(passedAt(hidden, "root complex")).toBeGreaterThanOrEqual(2 * hidden.bytes);
  });

  it("says who fell back and why", async () => {
    const { transfers } = await run(undefined);
    const [, , , hidden, declined, across] = transfers as Transfer[];

    expect(decided(hidden as Transfer, "exporter", "narrow")).toEqual(["VRAM_NOT_VISIBLE"]);
    expect(decided(declined as Transfer, "importer", "offer")).toEqual(["PEER_TO_PEER_DISABLED"]);
    expect(decided(across as Transfer, "topology", "unsupported")).toHaveLength(1);
  });

  it("tells it to people in at most 100 columns", async () => {
    const { code, stdout, stderr } = await peerbuf(["run"]);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n").filter((line) => line.length > 100)).toEqual([]);
    expect(stdout).toMatch(/^ 4 {2}hidden VRAM, the GPU declines P2P +arrived$/m);
    expect(stdout).toMatch(/attach {2}exporter {3}narrow .*lie behind/);
    expect(stdout).toContain("7 of 7 transfers arrived, 3 of them peer-to-peer.");
  });

  it("is the scenario that scenario and run --print-scenario print", async () => {
    const { stdout } = await peerbuf(["scenario"]);

    expect((await peerbuf(["run", "--print-scenario"])).stdout).toBe(stdout);
    const copied = await run(stdout);
    expect(copied.transfers).toEqual((await run(undefined)).transfers);
    const asJson = (await peerbuf(["scenario", "--json"])).stdout;
    expect((await run(asJson)).transfers).toEqual(copied.transfers);
  });
});

describe("run, the proof", () => {
  it("the checksum is that of the bytes that were put in", async () => {
    const scenario = (seed: number) =>
      `${HEAD}  - { name: one, exporter: "13:00.0", buffer: { size: 4 KiB }, importer: "16:00.0", operation: nvme-write, data: { seed: ${seed} } }\n`;

    const [seven] = (await run(scenario(7))).transfers;
    const [again] = (await run(scenario(7))).transfers;
    const [eight] = (await run(scenario(8))).transfers;

    expect(seven?.sha256).toEqual(again?.sha256);
    expect(seven?.sha256.source).not.toBe(eight?.sha256.source);
    const zeros = createHash("sha256").update(new Uint8Array(4096)).digest("hex");
    expect(seven?.sha256.source).not.toBe(zeros);
  });

  it("catches rules that claim P2P where the root complex drops it: reads come back as ones", async () => {
    const scenario = `trust: assume-p2p\nmachine: { rootComplex: none }\n${HEAD}${nvmeWrite("3e:00.0")}`;

    const { code, ok, transfers } = await run(scenario);

    expect({ code, ok }).toEqual({ code: 1, ok: false });
    const [lost] = transfers as [Transfer];
    expect(lost).toMatchObject({ target: "device", route: "host-bridge", arrived: false });
    expect(lost.lostBytes).toBe(lost.bytes);
    const ones = createHash("sha256").update(new Uint8Array(lost.bytes).fill(0xff)).digest("hex");
    expect(lost.sha256.destination).toBe(ones);
    expect(lost.sha256.source).not.toBe(ones);
    expect(lost.decisions.find(({ party }) => party === "topology")?.reason).toBe(
      "ASSUMED_BY_SCENARIO",
    );
  });

  it("catches silent loss: a drive's posted writes vanish and nobody reports an error", async () => {
    const scenario = `machine: { rootComplex: none }\n${HEAD}${nvmeWrite("17:00.0").replace("nvme-write", "nvme-read")}`;

    const { code, transfers } = await run(scenario);

    expect(code).toBe(1);
    const [lost] = transfers as [Transfer];
    expect(lost.error).toBeUndefined();
    expect(lost.sha256.destination).not.toBe(lost.sha256.source);
    expect(lost.lostBytes).toBe(lost.bytes);
  });

  it("the same machine with a root complex that forwards gets the bytes across", async () => {
    const scenario = `trust: assume-p2p\nmachine: { rootComplex: forwards }\n${HEAD}${nvmeWrite("3e:00.0")}`;

    const { code, transfers } = await run(scenario);

    expect(code).toBe(0);
    expect(transfers[0]).toMatchObject({ target: "device", route: "host-bridge", arrived: true });
  });

  it.each(["iommu", "iommu-lazy", "pass-through"])(
    "arrives by the same ways on %s",
    async (dma) => {
      const scenario = `machine: { dma: ${dma} }\n${HEAD}${nvmeWrite("16:00.0")}${nvmeWrite("17:00.0").replace("name: one", "name: two")}`;

      const { code, transfers } = await run(scenario);

      expect(code).toBe(0);
      expect(transfers.map(({ route }) => route)).toEqual(["bus-addr", "host-bridge"]);
    },
  );

  it("shows data that the root complex corrupts until the IOMMU passes it through", async () => {
    const transferOn = async (dma: string) =>
      await run(
        `machine: { rootComplex: corrupts-until-pass-through, dma: ${dma} }\n${HEAD}${nvmeWrite("17:00.0")}`,
      );

    const [translated, passed] = [await transferOn("iommu"), await transferOn("pass-through")];

    expect([translated.code, passed.code]).toEqual([1, 0]);
    expect(translated.transfers[0]).toMatchObject({ arrived: false, lostBytes: 0 });
  });

  it("faults at the IOMMU when a redirect was switched on behind the kernel's back", async () => {
    const transferOn = async (dma: string) =>
      await run(
        `machine: { dma: ${dma}, acsControl: { "12:03.0": 0x15 } }\n${HEAD}${nvmeWrite("16:00.0")}`,
      );

    const [translated, passed] = [await transferOn("iommu"), await transferOn("pass-through")];

    expect([translated.code, passed.code]).toEqual([1, 0]);
    expect(translated.transfers[0]).toMatchObject({ route: "bus-addr", arrived: false });
    expect(passed.transfers[0]).toMatchObject({ route: "bus-addr", arrived: true });
  });

  it("lets peer writes through and loses reads on a root complex that carries writes only", async () => {
    const write = nvmeWrite("17:00.0").replace("nvme-write", "nvme-read");
    const read = nvmeWrite("17:00.0").replace("name: one", "name: two");
    const scenario = `machine: { rootComplex: writes-only }\n${HEAD}${write}${read}`;

    const { code, transfers } = await run(scenario);

    expect(code).toBe(1);
    expect(transfers.map(({ arrived }) => arrived)).toEqual([true, false]);
  });

  it("a bus offset changes addresses, not bytes", async () => {
    const scenario = `machine: { busOffset: { "0000:10": 4294967296 } }\n${HEAD}${nvmeWrite("16:00.0")}${nvmeWrite("17:00.0").replace("name: one", "name: two")}`;

    const { code, transfers } = await run(scenario);

    expect(code).toBe(0);
    expect(transfers.map(({ route }) => route)).toEqual(["bus-addr", "host-bridge"]);
  });
});

describe("run, the summary", () => {
  it("counts as peer-to-peer only what met system memory at no end", async () => {
    const text = `
devices:
  "13:00.0": { model: gpu, vram: 64 MiB }
  "15:00.0": { model: rdma }
  "3b:00.0": { model: gpu, vram: 64 MiB }
  "3d:00.0": { model: rdma }
transfers:
  - { name: shown, exporter: "13:00.0", buffer: { size: 64 KiB }, importer: "15:00.0", operation: rdma-write, remote: { importer: "3d:00.0", exporter: "3b:00.0" } }
  - { name: hidden, exporter: "13:00.0", buffer: { size: 64 KiB }, importer: "15:00.0", operation: rdma-write, remote: { importer: "3d:00.0", exporter: "3b:00.0", place: hidden } }
`;
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "s.yaml"), text);
    const { stdout } = await peerbuf(["run", "s.yaml"], { cwd });

    expect(stdout).toContain("2 of 2 transfers arrived, 1 of them peer-to-peer.");
  });
});

describe("run, links", () => {
  const timed = async (machine: string): Promise<{ rate: number; assumesLinks: boolean }> => {
    const { transfers } = await run(`machine: ${machine}${HEAD}${nvmeWrite("16:00.0")}`);
    const [{ gigabytesPerSecond: rate = 0, assumesLinks }] = transfers as [Transfer];
    return { rate, assumesLinks };
  };
  const stated = (gpu: string, drive: string): string =>
    `{ links: { byFunction: { "13:00.0": ${gpu}, "16:00.0": ${drive} } } }`;

  it("are as captured unless the scenario states them, and a time says which", async () => {
    const captured = await timed("{}");
    const assumed = await timed(stated("Gen4 x16", "Gen4 x2"));

    // 2.5 GT/s x1 carries 0.25 GB/s after line coding, 16 GT/s x2 carries 3.9: packets take a part of both.
    expect(captured).toEqual({ rate: expect.closeTo(0.21, 1), assumesLinks: false });
    expect(assumed).toEqual({ rate: expect.closeTo(3.3, 0), assumesLinks: true });
  });

  it("are named by generation or by transfers a second, whichever the slower one sets the time", async () => {
    const [fast, same, slow] = [
      await timed(stated("Gen3 x4", "Gen5 x4")),
      await timed(stated("8 GT/s x4", "32 GT/s x4")),
      await timed(stated("2.5GT/s x4", "Gen5 x4")),
    ];

    expect(same).toEqual(fast);
    expect(fast.rate / slow.rate).toBeCloseTo(8 / 2.5 / (0.8 / (128 / 130)), 0);
  });
});

describe("run, refusals", () => {
  const refusing = `
devices:
  "13:00.0": { model: gpu }
  "16:00.0": { model: nvme, peerToPeer: require }
transfers:
  - { name: refused, exporter: "13:00.0", buffer: { size: 4 KiB, compressed: true }, importer: "16:00.0", operation: nvme-write }
  - { name: too large, exporter: "13:00.0", buffer: { size: 32 MiB, place: visible }, importer: "16:00.0", operation: nvme-write }
  - { name: fine, exporter: "13:00.0", buffer: { size: 4 KiB }, importer: "16:00.0", operation: nvme-write }
`;

  it("a transfer that ends without a mapping is reported, and the others still run", async () => {
    const { code, ok, transfers } = await run(refusing);

    expect({ code, ok }).toEqual({ code: 1, ok: false });
    expect(transfers.map(({ error }) => error?.code)).toEqual([
      "NO_COMMON_TYPE",
      "MEMORY_EXHAUSTED",
      undefined,
    ]);
    expect(transfers.map(({ arrived }) => arrived)).toEqual([false, false, true]);
    expect(transfers[0]).toMatchObject({ target: null, route: null });
    expect(decided(transfers[0] as Transfer, "exporter", "narrow")).toEqual(["CONTENT_COMPRESSED"]);
  });

  it("people see it in the title and with its reason", async () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "mine.yaml"), refusing);

    const { code, stdout } = await peerbuf(["run", "mine.yaml"], { cwd });

    expect(code).toBe(1);
    expect(stdout).toMatch(/^ 1 {2}refused +NO MAPPING$/m);
    expect(stdout).toMatch(/^ 2 {2}too large +FAILED$/m);
    expect(stdout).toContain("1 of 3 transfers arrived");
  });
});

describe("run, RDMA", () => {
  const rdma = (more: string) =>
    `${HEAD}  - { name: one, exporter: "13:00.0", buffer: { size: 64 KiB }, importer: "15:00.0", ${more} }\n`;

  it.each(["rdma-write", "rdma-read"])(
    "%s loops back into system memory without a far end",
    async (operation) => {
      const { code, transfers } = await run(rdma(`operation: ${operation}`));

      expect(code).toBe(0);
      expect(transfers[0]).toMatchObject({
        target: "device",
        route: "bus-addr",
        remote: {
          provider: "system-heap",
          client: "0000:15:00.0",
          target: "system",
          route: "system",
        },
        arrived: true,
      });
    },
  );
});

describe("run, other machines", () => {
  it("--capture and --kernel win over the scenario", async () => {
    const capture = join(FIXTURES, "server-05", "sysfs.tar.gz");

    const { code, transfers } = await run(
      HEAD + nvmeWrite("16:00.0"),
      "--capture",
      capture,
      "--kernel",
      "6.12",
    );

    expect(code).toBe(0);
    expect(transfers[0]).toMatchObject({ route: "bus-addr", arrived: true });
  });

  it("a scenario's capture is found from the scenario's folder", async () => {
    const folder = emptyFolder();
    const cwd = emptyFolder();
    writeFileSync(
      join(folder, "mine.yaml"),
      `capture: ${join(FIXTURES, "server-05")}\n${HEAD}${nvmeWrite("16:00.0")}`,
    );

    const { code } = await peerbuf(["run", join(folder, "mine.yaml"), "--json"], { cwd });

    expect(code).toBe(0);
  });
});
