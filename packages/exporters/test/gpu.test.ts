import { type DmaBuf, type OpenedExporter, SoftwareFence, UNLIMITED } from "@peerbuf/core";
import { type Gpu, gpu, systemHeap } from "@peerbuf/exporters";
import { nvme, rdma } from "@peerbuf/importers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  after,
  bytesIn,
  changeLink,
  expectSameBytes,
  FAR_DRIVE,
  FAR_NIC,
  GPU,
  MIB,
  NEAR_DRIVE,
  NEAR_NIC,
  pattern,
  type Server,
  startServer,
  systemImporter,
} from "../../importers/test/server-machine.ts";

/** Somebody reads the buffer until the fence is signaled. */
function workOn(buffer: DmaBuf): SoftwareFence {
  const names = { driverName: "test", timelineName: buffer.name };
  const fence = new SoftwareFence(buffer.reservation.domain.createContext(names), 1);
  buffer.addFence(fence, "read");
  return fence;
}

/** Whoever can go on without the machine has done so. */
async function waiting(): Promise<void> {
  for (let turn = 0; turn < 16; turn++) {
    await Promise.resolve();
  }
}

const openCard = (server: Server): OpenedExporter<Gpu> =>
  server.framework.openExporter(gpu, GPU, undefined);

describe("GPU driver, memory", () => {
  it("fills a new buffer before anybody sees it", async () => {
    using server = startServer();
    const card = openCard(server);
    server.gpu.inspect().vram.fill(0x5a);

    using zeros = card.allocate(4096);
    using pattern32 = card.allocate(4096, { fill: 0x0403_0201 });

    expectSameBytes(await zeros.read(0, 4096), new Uint8Array(4096));
    expect([...(await pattern32.read(2, 4))]).toEqual([3, 4, 1, 2]);
  });

  it("places buffers in the visible or the hidden part as wished, and takes them back", async () => {
    using server = startServer({ vramBytes: 32 * MIB });
    const card = openCard(server);
    const { api } = card;
    const before = [api.freeBytes("visible"), api.freeBytes("hidden")];

    const buffers = [
      card.allocate(16 * MIB, { place: "visible" }),
      card.allocate(MIB, { place: "hidden" }),
    ];
    const during = [api.freeBytes("visible"), api.freeBytes("hidden")];
    for (const buffer of buffers) {
      await buffer.read(0, 1);
      buffer.close();
    }

    expect(before).toEqual([16 * MIB, 16 * MIB]);
    expect(during).toEqual([0, 15 * MIB]);
    expect([api.freeBytes("visible"), api.freeBytes("hidden")]).toEqual(before);
  });

  it("says how much is free when it has too little", () => {
    using server = startServer({ vramBytes: 32 * MIB });

    expect(() => openCard(server).allocate(17 * MIB)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
    );
  });

  it.each([
    [{ place: "elsewhere" }],
    [{ shareable: true }],
    [{ fill: -1 }],
    [{ fill: 0.5 }],
    [{ tiling: "x" }],
  ])("refuses the wish %j", (wish) => {
    using server = startServer();

    expect(() => openCard(server).allocate(4096, wish)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });

  it.each(["visible", "hidden"] as const)(
    "gives the CPU any part of a buffer in the %s part",
    async (place) => {
      using server = startServer();
      const sizeBytes = 2 * MIB + 4096;
      using buffer = openCard(server).allocate(sizeBytes, { place });
      const expected = new Uint8Array(sizeBytes);
      const part = fc.record({ offset: fc.nat(sizeBytes / 2), length: fc.nat(sizeBytes / 2) });

      await fc.assert(
        fc.asyncProperty(part, fc.nat(), async ({ offset, length }, seed) => {
          const bytes = pattern(length, seed);
          expected.set(bytes, offset);

          await buffer.write(offset, bytes);

          expectSameBytes(await buffer.read(offset, length), bytes);
        }),
        { numRuns: 10 },
      );
      expectSameBytes(await buffer.read(0, sizeBytes), expected);
    },
  );
});

describe("GPU driver, scattered VRAM", () => {
  it("puts a buffer together from several ranges, for the CPU and for peers alike", async () => {
    using server = startServer({ vramBytes: 32 * MIB });
    const card = openCard(server);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const fourth = Array.from({ length: 4 }, () => card.allocate(4 * MIB));
    await fourth[3]?.read(0, 1);
    fourth[0]?.close();
    fourth[2]?.close();
    const bytes = pattern(8 * MIB);
    using buffer = card.allocate(8 * MIB);

    await buffer.write(0, bytes);
    const { negotiated } = await drive.api.write(buffer, { lba: 0 });

    expect(negotiated).toMatchObject({ type: "p2p", segmentCount: 2 });
    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, 8 * MIB), bytes);
    expectSameBytes(await buffer.read(5 * MIB, MIB), bytes.subarray(5 * MIB, 6 * MIB));
    fourth[1]?.close();
    fourth[3]?.close();
  });
});

describe("GPU driver, what peers may reach", () => {
  it.each([
    [{ place: "hidden" }, "VRAM_NOT_VISIBLE"],
    [{ compressed: true }, "CONTENT_COMPRESSED"],
    [{ shareable: "system-only" }, "SHARED_AS_SYSTEM_ONLY"],
  ] as const)("keeps peers out of a buffer with %j and moves it", async (wish, code) => {
    using server = startServer();
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = openCard(server).allocate(MIB, { ...wish, fill: 0x7777_7777 });

    const { negotiated } = await drive.api.write(buffer, { lba: 0 });

    expect(negotiated).toMatchObject({ type: "dma", target: "system" });
    expect(negotiated.decisions).toContainEqual(
      expect.objectContaining({
        party: "exporter",
        stage: "attach",
        reason: expect.objectContaining({ code }),
      }),
    );
    expectSameBytes(
      bytesIn(server.nearDrive.inspect().namespace, 0, MIB),
      new Uint8Array(MIB).fill(0x77),
    );
  });

  it("tells the numbers of a buffer that lies only partly behind the BAR", async () => {
    using server = startServer({ vramBytes: 32 * MIB });
    const card = openCard(server);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = card.allocate(20 * MIB, { place: "any" });

    const { negotiated } = await drive.api.write(buffer, { lba: 0, lengthBytes: 4096 });

    const why = negotiated.decisions.find(({ reason }) => reason.code === "VRAM_NOT_VISIBLE");
    expect(why?.reason.numbers).toEqual({ hiddenBytes: 4 * MIB, visibleBytes: 16 * MIB });
  });
});

describe("GPU driver, moves", () => {
  it("moves a buffer out once, frees its VRAM, and serves peers from there with a reason", async () => {
    using server = startServer();
    const card = openCard(server);
    const near = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    const bytes = pattern(MIB);
    using buffer = card.allocate(MIB);
    await buffer.write(0, bytes);
    const whole = card.api.freeBytes("any") + MIB;

    await far.api.write(buffer, { lba: 0 });
    const { negotiated } = await near.api.write(buffer, { lba: 0 });

    expect(card.api.freeBytes("any")).toBe(whole);
    expect(negotiated).toMatchObject({ type: "p2p", target: "system", route: "system" });
    expect(negotiated.decisions).toContainEqual(
      expect.objectContaining({
        verdict: "redirect",
        reason: expect.objectContaining({ code: "LIVES_IN_SYSTEM" }),
      }),
    );
    expectSameBytes(await buffer.read(0, MIB), bytes);
    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, MIB), bytes);
  });

  it("pins where everybody attached can reach it", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    using buffer = openCard(server).allocate(MIB);
    await using farRegion = await far.api.register(buffer);

    await using nearRegion = await near.api.register(buffer);

    expect(farRegion.negotiated.target).toBe("system");
    expect(nearRegion.negotiated.target).toBe("system");
  });

  it("moves to scattered pages in more commands than the ring holds", async () => {
    using server = startServer({ machine: { pagePlacement: "scattered" } });
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    const bytes = pattern(4 * MIB);
    using buffer = openCard(server).allocate(4 * MIB);
    await buffer.write(0, bytes);

    await far.api.write(buffer, { lba: 0 });

    expectSameBytes(bytesIn(server.farDrive.inspect().namespace, 0, 4 * MIB), bytes);
    expect(server.machine.clock.nowNs).toBeLessThan(1_000_000_000);
  });

  it("pins in system memory when somebody attached, though not mapped, needs that", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    using buffer = openCard(server).allocate(MIB);
    using bystander = buffer.attach(systemImporter(server, FAR_DRIVE));

    await using region = await near.api.register(buffer);

    expect(bystander.mappingCount).toBe(0);
    expect(region.negotiated.target).toBe("system");
    expect(region.negotiated.decisions).toContainEqual(
      expect.objectContaining({ reason: expect.objectContaining({ code: "SHARED_WITH_SYSTEM" }) }),
    );
  });

  it("declines system memory, and keeps none, when its engine cannot reach the pages", async () => {
    using server = startServer({
      machine: { pagePlacement: "scattered" },
      platform: { limits: { [GPU]: { ...UNLIMITED, segmentCountMax: 1 } } },
    });
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    await far.api.identity();
    using buffer = openCard(server).allocate(MIB);

    await expect(far.api.write(buffer, { lba: 0 })).rejects.toMatchObject({
      code: "MAP_DECLINED",
      message: expect.stringContaining("the copy engine cannot reach system memory"),
    });
  });

  it("holds its pages until the engine is done with them, though everybody has let go", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const buffer = openCard(server).allocate(MIB, { fill: 0xffff_ffff });
    await buffer.read(0, 1);
    const attachment = buffer.attach(systemImporter(server, FAR_DRIVE));
    attachment.map("to-device").unmap();
    attachment.detach();
    buffer.close();

    using other = heap.allocate(MIB);
    await after(server, 1_000_000);

    expectSameBytes(await other.read(0, MIB), new Uint8Array(MIB));
  });

  it("copies for an importer with its own memory only when the bytes have arrived", async () => {
    using server = startServer();
    const bouncing = server.framework.openImporter(nvme, NEAR_DRIVE, { bounce: true });
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    await Promise.all([bouncing.api.identity(), far.api.identity()]);
    const bytes = pattern(MIB);
    using buffer = openCard(server).allocate(MIB);
    await buffer.write(0, bytes);

    await Promise.all([far.api.write(buffer, { lba: 0 }), bouncing.api.write(buffer, { lba: 0 })]);

    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, MIB), bytes);
  });

  it("keeps the CPU's bytes through a move that runs meanwhile", async () => {
    using server = startServer();
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    await far.api.identity();
    using buffer = openCard(server).allocate(4 * MIB, { place: "hidden" });
    const bytes = pattern(4 * MIB);

    await Promise.all([
      buffer.write(0, bytes),
      far.api.write(buffer, { lba: 0, lengthBytes: 512 }),
    ]);

    expectSameBytes(await buffer.read(0, 4 * MIB), bytes);
  });

  it("keeps the CPU's bytes when it begins to move while they wait for the first fill", async () => {
    using server = startServer();
    using buffer = openCard(server).allocate(MIB);
    const bytes = pattern(MIB, 3);

    const writing = buffer.write(0, bytes);
    await waiting();
    using attachment = buffer.attach(systemImporter(server, FAR_DRIVE));
    using mapping = attachment.map("to-device");
    await Promise.all([writing, mapping.ready?.signaled()]);

    expect(mapping.ready).toBeDefined();
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("gives the place of a released buffer to the next one, and makes nobody leave for it", async () => {
    using server = startServer({ vramBytes: 16 * MIB });
    const card = openCard(server);
    const pagesBefore = server.machine.handles().hostPages;

    card.allocate(12 * MIB, { fill: 0xffff_ffff }).close();
    using next = card.allocate(12 * MIB);

    expect(server.machine.handles().hostPages).toBe(pagesBefore);
    expectSameBytes(await next.read(8 * MIB, 4096), new Uint8Array(4096));
  });

  it("fills a new buffer when all who were there have left, in whatever order they go", async () => {
    using server = startServer({ vramBytes: 16 * MIB });
    const card = openCard(server);
    using first = card.allocate(8 * MIB);
    using second = card.allocate(8 * MIB);
    const bytes = pattern(8 * MIB, 5);
    await first.write(0, bytes);
    const [slow, quick] = [first, second].map(workOn) as [SoftwareFence, SoftwareFence];

    using both = card.allocate(16 * MIB);
    quick.signal();
    await after(server, 1_000_000_000);
    slow.signal();
    await both.read(0, 1);

    expectSameBytes(await first.read(0, 8 * MIB), bytes);
  });

  it("declines system memory, with the reason, when the host has none left", async () => {
    using server = startServer({ machine: { memoryBytesPerNode: 2 * MIB } });
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    await far.api.identity();
    using buffer = openCard(server).allocate(16 * MIB);

    await expect(far.api.write(buffer, { lba: 0 })).rejects.toMatchObject({
      code: "MAP_DECLINED",
      message: expect.stringContaining("MEMORY_EXHAUSTED"),
    });
    expectSameBytes(await buffer.read(0, 4096), new Uint8Array(4096));
  });

  it("copies for an importer that brings its own memory, also after a move", async () => {
    using server = startServer();
    const card = openCard(server);
    const bouncing = server.framework.openImporter(nvme, NEAR_DRIVE, { bounce: true });
    const far = server.framework.openImporter(nvme, FAR_DRIVE, undefined);
    const bytes = pattern(MIB);
    using buffer = card.allocate(MIB);
    await buffer.write(0, bytes);

    await bouncing.api.write(buffer, { lba: 0 });
    await far.api.read(buffer, { lba: 0, lengthBytes: 4096 });
    await bouncing.api.write(buffer, { lba: 4096 });
    await bouncing.api.read(buffer, { lba: 0 });

    expectSameBytes(await buffer.read(0, MIB), bytes);
    const moved = bytesIn(server.nearDrive.inspect().namespace, 4096 * 512, MIB);
    expectSameBytes(moved.subarray(0, 4096), new Uint8Array(4096));
    expectSameBytes(moved.subarray(4096), bytes.subarray(4096));
  });
});

describe("GPU driver, failures", () => {
  it("does not open on a function without a GPU", () => {
    using server = startServer();

    expect(() => server.framework.openExporter(gpu, "0000:3c:00.0", undefined)).toThrow(
      expect.objectContaining({ code: "DEVICE_FAILED" }),
    );
  });

  it("fails one job whose ring got lost and goes on with the next", async () => {
    using server = startServer();
    const card = openCard(server);
    let isCut = true;
    const cut = changeLink(server, GPU, (port) => ({
      read: (...request) => {
        if (isCut) {
          isCut = false;
          return { ok: false, lostBytes: request[3] };
        }
        return port.read(...request);
      },
    }));

    using lost = card.allocate(4096);
    using next = card.allocate(4096, { fill: 1 });
    await expect(lost.read(0, 1)).rejects.toMatchObject({ code: "DEVICE_FAILED" });

    expect([...(await next.read(0, 4))]).toEqual([1, 0, 0, 0]);
    cut.remove();
  });
});
