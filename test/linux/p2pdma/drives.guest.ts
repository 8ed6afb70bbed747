/**
 * Peer-to-peer on a real kernel: one drive with controller memory, a second below the same switch, a third
 * on a root port of its own. The kernel's host bridge is on no list, so it maps the first pair only.
 */
import { createHash } from "node:crypto";
import { createFramework, type Framework } from "@peerbuf/core";
import {
  BlockDevice,
  createLinuxPlatform,
  driveImporter,
  kernelJudge,
  type LinuxPlatform,
  P2pMemory,
  p2pMemoryExporter,
  p2pProviders,
  sharedMemory,
} from "@peerbuf/linux";
import { createJudge, judgePair, readLive, rulesForKernel } from "@peerbuf/topology";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const BYTES = 256 * 1024;
const bytes = Uint8Array.from({ length: BYTES }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

let platform: LinuxPlatform;
let framework: Framework;
let provider: string;
const drives: BlockDevice[] = [];

/** A drive by how its path stands to the provider's: below one switch, or not. */
function drive(where: "same switch" | "own root port"): BlockDevice {
  const topology = readLive();
  const bridge = (bdf: string): number =>
    topology.parentOf(topology.parentOf(topology.require(bdf)));
  const found = drives.find(
    ({ bdf = "" }) =>
      bdf !== provider &&
      (bridge(bdf) >= 0 && bridge(bdf) === bridge(provider)) === (where === "same switch"),
  );
  if (found === undefined) {
    throw new Error(`no drive ${where}`);
  }
  return found;
}

async function contents(of: BlockDevice, position: number): Promise<Uint8Array> {
  using back = sharedMemory(BYTES);
  await of.read(back, { position });
  return back.withBytesSync("read", (data) => data.slice());
}

beforeEach(async () => {
  provider = p2pProviders()[0]?.bdf ?? "";
  for (const name of ["nvme0n1", "nvme1n1", "nvme2n1"]) {
    drives.push(await BlockDevice.open(`/dev/${name}`));
  }
  platform = createLinuxPlatform({ memory: "memfd" });
  framework = createFramework({ platform, judge: kernelJudge });
});

afterEach(async () => {
  framework.close();
  expect(platform.handles()).toEqual({ mappings: 0, hostAllocations: 0 });
  platform.close();
  for (const each of drives.splice(0)) {
    await each.close();
  }
});

describe("controller memory of one drive", () => {
  it("is published, taken, written by the CPU, and given back", () => {
    const before = p2pProviders()[0]?.availableBytes;
    const memory = new P2pMemory(provider, BYTES);
    memory.withBytesSync("write", (data) => data.set(bytes));
    expect(hash(memory.withBytesSync("read", (data) => data.slice()))).toBe(hash(bytes));
    expect(p2pProviders()[0]?.availableBytes).toBe((before ?? 0) - BYTES);
    memory.close();
    expect(p2pProviders()[0]?.availableBytes).toBe(before);
    expect(() => new P2pMemory("0000:00:00.0", BYTES)).toThrow(/publishes memory/);
    expect(() => new P2pMemory(provider, 2 ** 40)).toThrow(/are left/);
  });

  it("reaches a drive below the same switch peer to peer: written there, equal by hash", async () => {
    const target = drive("same switch");
    const exporter = framework.openExporter(p2pMemoryExporter, provider, undefined);
    const importer = framework.openImporter(driveImporter, target.bdf, { drive: target }).api;
    using buffer = exporter.allocate(BYTES);
    await buffer.write(0, bytes);

    const transfer = await importer.write(buffer, 1 << 20);

    expect(transfer.target).toBe("device");
    expect(transfer.decisions.some(({ reason }) => reason.code === "KERNEL_EREMOTEIO")).toBe(false);
    expect(hash(await contents(target, 1 << 20))).toBe(hash(bytes));
  });

  it("is moved by parts that lie within it and on whole blocks of the drive", async () => {
    const target = drive("same switch");
    using memory = new P2pMemory(provider, BYTES);
    for (const extent of [
      { position: 0, offset: -512 },
      { position: 0, offset: 0.5 },
      { position: 0, offset: Number.NaN },
      { position: 0, offset: 4096, lengthBytes: BYTES },
      { position: 0, lengthBytes: 2 * BYTES },
      { position: 100 },
      { position: -512 },
      { position: Number.NaN },
      { position: 2 ** 53 },
    ]) {
      await expect(target.write(memory, extent)).rejects.toMatchObject({
        code: "ARGUMENT_INVALID",
      });
      await expect(target.read(memory, extent)).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
    }
    await target.write(memory, { position: 0, offset: BYTES - 4096 });
  });

  it("is filled by a drive below the same switch", async () => {
    const source = drive("same switch");
    using memory = sharedMemory(BYTES);
    memory.withBytesSync("write", (data) => data.set(bytes));
    await source.write(memory, { position: 4 << 20 });
    const exporter = framework.openExporter(p2pMemoryExporter, provider, undefined);
    const importer = framework.openImporter(driveImporter, source.bdf, { drive: source }).api;
    using buffer = exporter.allocate(BYTES);

    const transfer = await importer.read(buffer, 4 << 20);

    expect(transfer.target).toBe("device");
    expect(hash(await buffer.read(0, BYTES))).toBe(hash(bytes));
  });

  it("is refused to a drive on another root port (EREMOTEIO), and the bytes go by system memory", async () => {
    const target = drive("own root port");
    const exporter = framework.openExporter(p2pMemoryExporter, provider, undefined);
    const importer = framework.openImporter(driveImporter, target.bdf, { drive: target }).api;
    using buffer = exporter.allocate(BYTES);
    await buffer.write(0, bytes);

    const transfer = await importer.write(buffer, 0);

    expect(transfer.target).toBe("system");
    const declined = transfer.decisions.find(({ reason }) => reason.code === "KERNEL_EREMOTEIO");
    expect(declined?.party).toBe("importer");
    expect(declined?.reason.text).toContain("EREMOTEIO");
    expect(hash(await contents(target, 0))).toBe(hash(bytes));
  });
});

describe("the rules of peerbuf, read from this machine's /sys", () => {
  it("say for every pair of drives what this kernel does", async () => {
    const topology = readLive();
    const rules = rulesForKernel("6.12");
    using memory = new P2pMemory(provider, BYTES);
    const asked: string[] = [];
    for (const each of drives) {
      const verdict = judgePair(
        topology,
        rules,
        topology.require(provider),
        topology.require(each.bdf ?? ""),
      );
      const kernel = await each.write(memory, { position: 8 << 20 }).then(
        () => "maps",
        (error: { errno?: string }) => error.errno,
      );
      asked.push(`${verdict.type}: ${kernel}`);
    }
    expect(asked.sort()).toEqual(["bus-addr: maps", "bus-addr: maps", "unsupported: EREMOTEIO"]);
  });

  it("let the negotiation choose system memory before the kernel has to refuse", async () => {
    const topology = readLive();
    const target = drive("own root port");
    using judged = createFramework({
      platform,
      judge: createJudge(topology, rulesForKernel("6.12")),
    });
    const exporter = judged.openExporter(p2pMemoryExporter, provider, undefined);
    const importer = judged.openImporter(driveImporter, target.bdf, { drive: target }).api;
    using buffer = exporter.allocate(BYTES);
    await buffer.write(0, bytes);
    const transfer = await importer.write(buffer, 0);
    expect(transfer.target).toBe("system");
    expect(transfer.decisions.some(({ reason }) => reason.code === "KERNEL_EREMOTEIO")).toBe(false);
  });
});
