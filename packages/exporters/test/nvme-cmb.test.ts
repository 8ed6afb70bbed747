import type { DmaBuf } from "@peerbuf/core";
import { type NvmeCmb, nvmeCmb } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import {
  createNvmeController,
  type NvmeController,
  type NvmeControllerOptions,
} from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CapturedMachine, startCaptured } from "../../importers/test/captured-machine.ts";
import { bytesIn, expectSameBytes, MIB, pattern } from "../../importers/test/server-machine.ts";

/** A drive whose capture has a 64 MiB memory buffer in BAR2; another below the same switch; one below another root port. */
const OWNER = "0000:03:00.0";
const CLIENT = "0000:07:00.0";
const FAR = "0000:0a:00.3";

interface Bench extends CapturedMachine {
  readonly owner: NvmeController;
  readonly client: NvmeController;
}

async function start(options: NvmeControllerOptions = { memoryBuffer: true }): Promise<Bench> {
  const owner = createNvmeController({ capacityBytes: 4 * MIB, ...options });
  const client = createNvmeController({ capacityBytes: 4 * MIB });
  const far = createNvmeController({ capacityBytes: 4 * MIB });
  return {
    ...(await startCaptured("switch-03", { [OWNER]: owner, [CLIENT]: client, [FAR]: far })),
    owner,
    client,
  };
}

const open = (bench: Bench): { api: NvmeCmb; allocate: (sizeBytes: number) => DmaBuf } =>
  bench.framework.openExporter(nvmeCmb, OWNER, undefined);

describe("NVMe CMB driver", () => {
  it("finds the buffer in its BAR, in units of SZU", async () => {
    using bench = await start();

    const { api } = open(bench);

    expect(api).toMatchObject({ sizeBytes: 64 * MIB });
    expect(api.freeBytes()).toBe(64 * MIB);
  });

  it("whose drive was pulled out is gone, not full of ones", async () => {
    using bench = await start();
    using buffer = open(bench).allocate(MIB);
    await buffer.write(0, pattern(4096));

    bench.machine.surpriseRemove(OWNER);

    const gone = { code: "DEVICE_GONE", message: expect.stringContaining(OWNER) };
    await expect(buffer.read(0, 4096)).rejects.toMatchObject(gone);
    await expect(buffer.write(0, pattern(4096))).rejects.toMatchObject(gone);
  });

  it("lets another drive write to it and read from it below the root complex", async () => {
    using bench = await start();
    const drive = bench.framework.openImporter(nvme, CLIENT, undefined);
    const bytes = pattern(MIB);
    bench.client.inspect().namespace.write(0, bytes);
    using buffer = open(bench).allocate(MIB);

    const { negotiated } = await drive.api.read(buffer, { lba: 0 });
    await drive.api.write(buffer, { lba: 4096 });

    expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "bus-addr" });
    expectSameBytes(await buffer.read(0, MIB), bytes);
    expectSameBytes(bytesIn(bench.client.inspect().namespace, 4096 * 512, MIB), bytes);
    expect(bench.machine.inspect.totalTraffic().lostBytes).toBe(0);
  });

  it("serves the drive itself, which goes on being one", async () => {
    using bench = await start();
    const drive = bench.framework.openImporter(nvme, OWNER, undefined);
    const bytes = pattern(MIB, 2);
    using buffer = open(bench).allocate(MIB);
    await buffer.write(0, bytes);

    const { negotiated } = await drive.api.write(buffer, { lba: 8 });

    expect(negotiated).toMatchObject({ type: "p2p", target: "device" });
    expectSameBytes(bytesIn(bench.owner.inspect().namespace, 8 * 512, MIB), bytes);
  });

  it("has nothing for whoever cannot come to it: it has no engine to bring the bytes out", async () => {
    using bench = await start();
    const far = bench.framework.openImporter(nvme, FAR, undefined);
    const near = bench.framework.openImporter(nvme, CLIENT, { peerToPeer: "decline" });
    using buffer = open(bench).allocate(4096);
    const message = expect.stringContaining("DEVICE_MEMORY_ONLY");
    const nothing = { code: "NO_COMMON_TYPE", errno: "EOPNOTSUPP", message };

    await expect(far.api.write(buffer, { lba: 0 })).rejects.toMatchObject(nothing);
    await expect(near.api.write(buffer, { lba: 0 })).rejects.toMatchObject(nothing);
    expect(bench.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
  });

  it("clears what it hands out, and says how much is free when that is too little", async () => {
    using bench = await start();
    const { api, allocate } = open(bench);
    bench.owner.inspect().memoryBuffer?.fill(0x5a, 0, 4 * MIB);

    using buffer = allocate(MIB);

    expectSameBytes(await buffer.read(0, MIB), new Uint8Array(MIB));
    expect(() => allocate(64 * MIB)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED", errno: "ENOMEM" }),
    );
    expect(api.freeBytes()).toBe(63 * MIB);
  });

  it("never gives the same page to two buffers, and ends with as much as it began", async () => {
    using bench = await start();
    const { api, allocate } = open(bench);
    const live: { buffer: DmaBuf; bytes: Uint8Array }[] = [];
    const step = fc.oneof(
      fc.record({ pages: fc.integer({ min: 1, max: 64 }) }),
      fc.record({ close: fc.nat(7) }),
    );

    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
        for (const each of steps) {
          if ("pages" in each) {
            const buffer = allocate(each.pages * 4096);
            const bytes = pattern(buffer.sizeBytes, live.length + each.pages);
            await buffer.write(0, bytes);
            live.push({ buffer, bytes });
          } else {
            live.splice(each.close, 1)[0]?.buffer.close();
          }
          for (const { buffer, bytes } of live) {
            expectSameBytes(await buffer.read(0, buffer.sizeBytes), bytes);
          }
        }
        for (const { buffer } of live.splice(0)) {
          buffer.close();
        }
        expect(api.freeBytes()).toBe(64 * MIB);
      }),
      { numRuns: 20 },
    );
  });

  it("is not opened on a drive without a memory buffer", async () => {
    using bench = await start({});

    expect(() => open(bench)).toThrow(
      expect.objectContaining({
        code: "DEVICE_FAILED",
        message: expect.stringContaining("no controller memory buffer"),
      }),
    );
  });
});
