import { gpu, systemHeap } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  after,
  BRIDGE_DRIVE,
  bytesIn,
  changeLink,
  expectSameBytes,
  FAR_DRIVE,
  GPU,
  MIB,
  NEAR_DRIVE,
  pattern,
  startServer,
} from "./server-machine.ts";

const BLOCK = 512;

describe("NVMe driver, system memory", () => {
  it("writes a buffer to the drive and reads it back into another", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const bytes = pattern(MIB);
    using source = heap.allocate(MIB);
    using target = heap.allocate(MIB);
    await source.write(0, bytes);

    const written = await drive.api.write(source, { lba: 64 });
    await drive.api.flush();
    await drive.api.read(target, { lba: 64 });

    expect(written).toMatchObject({
      lengthBytes: MIB,
      negotiated: { type: "dma", target: "system", route: "system", copied: false },
    });
    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 64 * BLOCK, MIB), bytes);
    expectSameBytes(await target.read(0, MIB), bytes);
  });

  it("cuts a transfer at the controller's limit and runs the commands side by side", async () => {
    using server = startServer({ drive: { mdts: 2 } });
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = heap.allocate(MIB);
    const bytes = pattern(MIB);
    server.nearDrive.inspect().namespace.write(0, bytes);

    const { commandCount, elapsedNs } = await drive.api.read(buffer, { lba: 0 });

    expect(commandCount).toBe(64);
    // The captured link (2.5 GT/s, one lane) takes 4.9 ms for the bytes alone; waiting 64 times for flash, 3.8 ms more.
    expect(elapsedNs).toBeLessThan(4_900_000 + 10 * 60_000);
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("follows PRP lists that need chaining", async () => {
    using server = startServer({ drive: { mdts: 10 }, machine: { pagePlacement: "scattered" } });
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = heap.allocate(4 * MIB);
    const bytes = pattern(4 * MIB);
    server.nearDrive.inspect().namespace.write(0, bytes);

    const { commandCount } = await drive.api.read(buffer, { lba: 0 });

    expect(commandCount).toBe(1);
    expectSameBytes(await buffer.read(0, 4 * MIB), bytes);
  });

  it("moves any blocks between any part of a scattered buffer and the drive", async () => {
    using server = startServer({ drive: { mdts: 1 }, machine: { pagePlacement: "scattered" } });
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const bufferBytes = 16 * 4096;
    using buffer = heap.allocate(bufferBytes);
    const memory = new Uint8Array(bufferBytes);
    const media = new Uint8Array(256 * BLOCK);
    const step = fc.record({
      way: fc.constantFrom("read" as const, "write" as const),
      lba: fc.nat(128),
      blocks: fc.integer({ min: 1, max: 64 }),
      offset: fc.nat((bufferBytes - 64 * BLOCK) / 4).map((words) => 4 * words),
      seed: fc.nat(),
    });

    await fc.assert(
      fc.asyncProperty(step, async ({ way, lba, blocks, offset, seed }) => {
        const lengthBytes = blocks * BLOCK;
        const inMedia = lba * BLOCK;
        if (way === "write") {
          const bytes = pattern(lengthBytes, seed);
          await buffer.write(offset, bytes);
          memory.set(bytes, offset);
          media.set(bytes, inMedia);
        } else {
          memory.set(media.subarray(inMedia, inMedia + lengthBytes), offset);
        }

        await drive.api[way](buffer, { lba, offset, lengthBytes });

        expectSameBytes(await buffer.read(0, bufferBytes), memory);
        expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, media.length), media);
      }),
      { numRuns: 60 },
    );
  });

  it("takes many transfers at once", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = heap.allocate(200 * 4096);
    const bytes = pattern(200 * 4096);
    server.nearDrive.inspect().namespace.write(0, bytes);

    await Promise.all(
      Array.from({ length: 200 }, (_, page) =>
        drive.api.read(buffer, { lba: 8 * page, offset: 4096 * page, lengthBytes: 4096 }),
      ),
    );

    expectSameBytes(await buffer.read(0, bytes.length), bytes);
  });
});

describe("NVMe driver, peer memory", () => {
  it("reads straight into VRAM below the same switch", async () => {
    using server = startServer();
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const bytes = pattern(MIB);
    server.nearDrive.inspect().namespace.write(8 * BLOCK, bytes);
    using buffer = card.allocate(MIB);

    const { negotiated } = await drive.api.read(buffer, { lba: 8 });

    expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "bus-addr" });
    expectSameBytes(bytesIn(server.gpu.inspect().vram, 0, MIB), bytes);
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("writes from VRAM through the host bridge", async () => {
    using server = startServer();
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, BRIDGE_DRIVE, undefined);
    using buffer = card.allocate(MIB, { fill: 0x1234_5678 });

    const { negotiated } = await drive.api.write(buffer, { lba: 0 });

    expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "host-bridge" });
    const media = new DataView(bytesIn(server.bridgeDrive.inspect().namespace, 0, MIB).buffer);
    expect(media.getUint32(MIB - 4, true)).toBe(0x1234_5678);
  });

  it("moves the buffer to system memory where topology allows no peers, and says so", async () => {
    using server = startServer();
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    using buffer = card.allocate(MIB, { fill: 0xabcd_ef01 });

    const { negotiated } = await drive.api.write(buffer, { lba: 0 });

    expect(negotiated).toMatchObject({ type: "dma", target: "system", route: "system" });
    expect(negotiated.decisions).toContainEqual(
      expect.objectContaining({ party: "topology", verdict: "unsupported" }),
    );
    const media = new DataView(bytesIn(server.farDrive.inspect().namespace, 0, MIB).buffer);
    expect(media.getUint32(0, true)).toBe(0xabcd_ef01);
  });

  it("declines peers when they are switched off, with its reason on the record", async () => {
    using server = startServer();
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, { peerToPeer: "decline" });
    using buffer = card.allocate(MIB);

    const { negotiated } = await drive.api.write(buffer, { lba: 0 });

    expect(negotiated).toMatchObject({ type: "dma", target: "system" });
    expect(negotiated.decisions[0]?.reason.code).toBe("PEER_TO_PEER_DISABLED");
  });

  it("fails when peers are required and topology allows none", async () => {
    using server = startServer();
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, FAR_DRIVE, { peerToPeer: "require" });
    using buffer = card.allocate(MIB);

    await expect(drive.api.write(buffer, { lba: 0 })).rejects.toMatchObject({
      code: "NO_COMMON_TYPE",
      errno: "EOPNOTSUPP",
    });
  });

  it("asks for system memory when the peer's memory comes in too many segments", async () => {
    using server = startServer();
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, { peerSegmentsMax: 0 });
    using buffer = card.allocate(MIB);

    const { negotiated } = await drive.api.write(buffer, { lba: 0 });

    expect(negotiated.target).toBe("system");
    expect(negotiated.decisions).toContainEqual(
      expect.objectContaining({ party: "importer", verdict: "redirect" }),
    );
  });

  it("works on memory of its own when told to bounce, and leaves the rest of the buffer alone", async () => {
    using server = startServer();
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, FAR_DRIVE, { bounce: true });
    using buffer = card.allocate(3 * 4096, { fill: 0x1111_1111 });
    const block = pattern(4096);
    server.farDrive.inspect().namespace.write(0, block);

    const { negotiated } = await drive.api.read(buffer, {
      lba: 0,
      offset: 4096,
      lengthBytes: 4096,
    });

    expect(negotiated).toMatchObject({ target: "system", copied: true });
    const expected = new Uint8Array(3 * 4096).fill(0x11);
    expected.set(block, 4096);
    expectSameBytes(bytesIn(server.gpu.inspect().vram, 0, 3 * 4096), expected);
  });

  it("follows a buffer that moves out of VRAM in the middle of a transfer", async () => {
    using server = startServer({ drive: { mdts: 1 } });
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const near = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    await Promise.all([near.api.identity(), far.api.identity()]);
    const bytes = pattern(MIB);
    server.nearDrive.inspect().namespace.write(0, bytes);
    using buffer = card.allocate(MIB);

    const reading = near.api.read(buffer, { lba: 0 });
    await after(server, 100_000);
    const [read, written] = await Promise.all([
      reading,
      far.api.write(buffer, { lba: 0, lengthBytes: 4096 }),
    ]);

    expect(written.negotiated.target).toBe("system");
    expect(read.negotiated).toMatchObject({ type: "p2p", target: "system" });
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });
});

describe("NVMe driver, running work", () => {
  it("ends its commands on the way before the bytes leave the place they write to", async () => {
    using server = startServer({ drive: { mdts: 1 } });
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const near = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    await Promise.all([near.api.identity(), far.api.identity()]);
    const bytes = pattern(MIB / 4);
    server.nearDrive.inspect().namespace.write(0, bytes);
    using buffer = card.allocate(MIB / 4);
    await buffer.read(0, 1);

    const reading = near.api.read(buffer, { lba: 0 });
    await after(server, 10_000);
    await Promise.all([reading, far.api.write(buffer, { lba: 0 })]);

    expectSameBytes(bytesIn(server.farDrive.inspect().namespace, 0, MIB / 4), bytes);
    expect(server.platform.guardFaults).toBe(0);
  });

  it("shows as a fence on the buffer, which ends well with the transfer", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    await drive.api.identity();
    using buffer = heap.allocate(4096);

    const reading = drive.api.read(buffer, { lba: 0 });
    await after(server, 1_000);
    const fences = buffer.reservation.getFences("write");
    const during = fences.map(({ status }) => status);
    await reading;

    expect(during).toEqual([0]);
    expect(fences.map(({ status }) => status)).toEqual([1]);
  });
});

describe("NVMe driver, failures", () => {
  it("names status, operation and blocks when the drive refuses", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = heap.allocate(4096);

    await expect(drive.api.write(buffer, { lba: 131_071 })).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      message: `nvme ${NEAR_DRIVE}: write of blocks 131071 to 131078 failed: LBA Out of Range (080h)`,
    });
    expect(server.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
  });

  it("refuses parts of a buffer that are no whole blocks or lie outside", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, { dataPointers: "prp" });
    using buffer = heap.allocate(4096);
    const wrong = [
      { lba: -1 },
      { lba: 0, lengthBytes: 100 },
      { lba: 0, offset: 2, lengthBytes: 512 },
      { lba: 0, offset: 4096 },
      { lba: 0, offset: 3584, lengthBytes: 1024 },
    ];

    for (const range of wrong) {
      await expect(drive.api.read(buffer, range)).rejects.toMatchObject({
        code: "ARGUMENT_INVALID",
      });
    }
  });

  it("reports a data transfer error when the root complex drops reads that were negotiated", async () => {
    using server = startServer({ machine: { rootComplex: "none" } });
    const card = server.framework.openExporter(gpu, GPU, undefined);
    const drive = server.framework.openImporter(nvme, BRIDGE_DRIVE, undefined);
    using buffer = card.allocate(4096);

    await expect(drive.api.write(buffer, { lba: 0 })).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      message: expect.stringContaining("Data Transfer Error"),
    });
  });

  it("ends transfers with an error when it is closed under them, and gives everything back", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    await drive.api.identity();
    using buffer = heap.allocate(MIB);
    const reading = drive.api.read(buffer, { lba: 0 });
    const outcome = expect(reading).rejects.toMatchObject({ code: "DEVICE_GONE" });
    await after(server, 2_000);

    drive.close();

    await outcome;
    expect(server.framework.handles().attachments).toBe(0);
  });

  it("says so when there is no NVMe controller behind the function", async () => {
    using server = startServer();

    const drive = server.framework.openImporter(nvme, "0000:16:00.0", undefined);

    await expect(drive.api.identity()).rejects.toMatchObject({ code: "DEVICE_FAILED" });
  });

  it("does not wait for a drive that is taken out while it starts", async () => {
    using server = startServer();
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);

    server.machine.surpriseRemove(NEAR_DRIVE);

    await expect(drive.api.identity()).rejects.toMatchObject({
      code: "DEVICE_GONE",
      message: expect.stringContaining("taken out"),
    });
    expect(server.machine.clock.nowNs).toBeLessThan(1_000_000_000);
  });

  it("stops a drive that falls silent, so that it touches nothing any more", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    await drive.api.identity();
    using buffer = heap.allocate(4096);
    const lost = { ok: false, lostBytes: 0 };
    const cut = changeLink(server, NEAR_DRIVE, () => ({
      write: () => lost,
      writeFrom: () => lost,
    }));

    await expect(drive.api.read(buffer, { lba: 0 })).rejects.toMatchObject({
      code: "DEVICE_GONE",
      message: expect.stringContaining("did not answer"),
    });
    cut.remove();

    expect(server.machine.clock.nowNs).toBeGreaterThan(30_000_000_000);
    await expect(drive.api.read(buffer, { lba: 0 })).rejects.toThrow("was stopped: no answer");
  });

  it("says that a drive which cannot read its commands reports a fatal error, and works when opened anew", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    await drive.api.identity();
    using buffer = heap.allocate(4096);
    const ENTRY_BYTES = 64;
    const cut = changeLink(server, NEAR_DRIVE, (port) => ({
      read: (...request) =>
        request[3] === ENTRY_BYTES ? { ok: false, lostBytes: ENTRY_BYTES } : port.read(...request),
    }));

    await expect(drive.api.read(buffer, { lba: 0 })).rejects.toThrow("did not answer");
    await expect(drive.api.read(buffer, { lba: 0 })).rejects.toThrow("fatal error (CSTS.CFS)");
    cut.remove();
    drive.close();
    const again = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);

    await expect(again.api.read(buffer, { lba: 0 })).resolves.toMatchObject({ lengthBytes: 4096 });
  });
});
