import { type DmaBuf, type OpenedExporter, SoftwareFence } from "@peerbuf/core";
import { type Gpu, gpu, type Vfio, vfio } from "@peerbuf/exporters";
import { type GpuPeer, gpuPeer, nvme } from "@peerbuf/importers";
import {
  type BarMemory,
  createBarMemory,
  createGpu,
  createNvmeController,
  type Gpu as GpuModel,
  type NvmeController,
} from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CapturedMachine, startCaptured } from "./captured-machine.ts";
import { bytesIn, expectSameBytes, MIB, pattern } from "./server-machine.ts";

/** Two GPUs and a drive below one switch, and a drive that topology lets near none of them. */
const OWNER = "0000:3b:00.0";
const PEER = "0000:3c:00.0";
const FAR_DRIVE = "0000:17:00.0";
const NEAR_DRIVE = "0000:3e:00.0";

interface Bench extends CapturedMachine {
  readonly owner: GpuModel;
  readonly peer: GpuModel;
  readonly drive: NvmeController;
  readonly card: OpenedExporter<Gpu>;
  readonly api: GpuPeer;
  /** Closes the peer's driver. */
  close(): void;
}

async function start(): Promise<Bench> {
  const owner = createGpu({ vramBytes: 32 * MIB });
  const peer = createGpu({ vramBytes: 32 * MIB });
  const drive = createNvmeController({ capacityBytes: 8 * MIB });
  const far = createNvmeController({ capacityBytes: 8 * MIB });
  const models = { [OWNER]: owner, [PEER]: peer, [NEAR_DRIVE]: drive, [FAR_DRIVE]: far };
  const started = await startCaptured("server-05", models);
  const card = started.framework.openExporter(gpu, OWNER, undefined);
  const { api, close } = started.framework.openImporter(gpuPeer, PEER, undefined);
  return { ...started, owner, peer, drive, card, api, close };
}

const inPeer = ({ peer }: Bench, offset: number, lengthBytes: number): Uint8Array =>
  bytesIn(peer.inspect().vram, offset, lengthBytes);

/** Maps and reads by a drive that can only do with system memory: the buffer moves there. */
async function pushOut(bench: Bench, buffer: DmaBuf): Promise<void> {
  const drive = bench.framework.openImporter(nvme, FAR_DRIVE, undefined);
  await drive.api.write(buffer, { lba: 0 });
  drive.close();
}

/** Lets the machine get on until something holds. */
async function until(holds: () => boolean): Promise<void> {
  for (let turns = 0; turns < 10_000 && !holds(); turns++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(holds()).toBe(true);
}

describe("GPU peer driver", () => {
  it("copies from the other GPU's memory into its own, below the root complex", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(MIB);
    const bytes = pattern(MIB);
    await buffer.write(0, bytes);
    using imported = bench.api.import(buffer);

    const negotiated = await imported.fetch({ deviceOffset: 8 * MIB });

    expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "bus-addr" });
    expectSameBytes(inPeer(bench, 8 * MIB, MIB), bytes);
    expect(bench.machine.inspect.traffic(PEER).readBytes).toBeGreaterThanOrEqual(MIB);
  });

  it("moves any part to and from any place of its memory, on one mapping", async () => {
    using bench = await start();
    const sizeBytes = 16 * 4096;
    using buffer = bench.card.allocate(sizeBytes);
    const inBuffer = pattern(sizeBytes, 2);
    const inVram = pattern(sizeBytes, 3);
    await buffer.write(0, inBuffer);
    bench.peer.inspect().vram.write(0, inVram);
    using imported = bench.api.import(buffer);
    const part = fc.record({
      way: fc.constantFrom("fetch" as const, "store" as const),
      offset: fc.nat(sizeBytes / 2),
      deviceOffset: fc.nat(sizeBytes / 2),
      lengthBytes: fc.integer({ min: 1, max: sizeBytes / 2 }),
    });

    await fc.assert(
      fc.asyncProperty(part, async ({ way, ...range }) => {
        const { offset, deviceOffset, lengthBytes } = range;
        if (way === "fetch") {
          inVram.set(inBuffer.subarray(offset, offset + lengthBytes), deviceOffset);
        } else {
          inBuffer.set(inVram.subarray(deviceOffset, deviceOffset + lengthBytes), offset);
        }

        await imported[way](range);

        expectSameBytes(await buffer.read(0, sizeBytes), inBuffer);
        expectSameBytes(inPeer(bench, 0, sizeBytes), inVram);
      }),
      { numRuns: 40 },
    );
    expect(imported.mapsMade).toBe(1);
  });

  it("follows the buffer when it moves: lets go, and maps again at its next use", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(MIB);
    const bytes = pattern(MIB, 4);
    await buffer.write(0, bytes);
    using imported = bench.api.import(buffer);
    await imported.fetch();

    await pushOut(bench, buffer);
    const held = bench.framework.handles().mappings;
    const { target } = await imported.fetch({ deviceOffset: 4 * MIB });

    expect(held).toBe(0);
    expect(target).toBe("system");
    expect(imported.mapsMade).toBe(2);
    expectSameBytes(inPeer(bench, 4 * MIB, MIB), bytes);
    expect(bench.platform.guardFaults).toBe(0);
  });

  it("ends its running copy on the old place before the buffer leaves it", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(8 * MIB);
    const bytes = pattern(8 * MIB, 5);
    bench.peer.inspect().vram.write(0, bytes);
    using imported = bench.api.import(buffer);
    await imported.fetch({ lengthBytes: 4096, deviceOffset: 16 * MIB });

    const storing = imported.store();
    const moving = pushOut(bench, buffer);
    const { target } = await storing;
    await moving;

    expect(target).toBe("device");
    expectSameBytes(await buffer.read(0, 8 * MIB), bytes);
    expect(bench.platform.guardFaults).toBe(0);
  });

  it("runs copies in the order of the calls where one reads what another writes", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(MIB);
    const bytes = pattern(MIB, 6);
    bench.peer.inspect().vram.write(0, bytes);
    using imported = bench.api.import(buffer);
    await imported.fetch({ deviceOffset: 4 * MIB });

    await Promise.all([imported.store(), imported.fetch({ deviceOffset: 8 * MIB })]);

    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("lets the CPU wait for its writes", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(4 * MIB);
    const bytes = pattern(4 * MIB, 7);
    bench.peer.inspect().vram.write(0, bytes);
    using imported = bench.api.import(buffer);
    await imported.fetch({ lengthBytes: 1, deviceOffset: 31 * MIB });
    const storing = imported.store();
    await until(() => !buffer.reservation.testSignaled("write"));

    const [seen] = await Promise.all([buffer.read(0, 4 * MIB), storing]);

    expectSameBytes(seen, bytes);
  });

  it("waits for another device's writes before it reads", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(4 * MIB);
    const drive = bench.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    await drive.api.identity();
    const bytes = pattern(4 * MIB, 9);
    bench.drive.inspect().namespace.write(0, bytes);
    using imported = bench.api.import(buffer);
    const filling = drive.api.read(buffer, { lba: 0 });
    await until(() => !buffer.reservation.testSignaled("write"));

    await imported.fetch();

    expectSameBytes(inPeer(bench, 0, 4 * MIB), bytes);
    await filling;
  });

  it("starts over at the new place when the buffer moved while it waited", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(MIB);
    const bytes = pattern(MIB, 10);
    await buffer.write(0, bytes);
    const domain = buffer.reservation.domain;
    const context = domain.createContext({ driverName: "test", timelineName: "writer" });
    const writing = new SoftwareFence(context, 1);
    buffer.addFence(writing, "write");
    using imported = bench.api.import(buffer);
    const fetching = imported.fetch();

    const moving = pushOut(bench, buffer);
    await until(() => buffer.attachments[0]?.mappingCount === 0);
    writing.signal();
    const { target } = await fetching;
    await moving;

    expect(target).toBe("system");
    expect(imported.mapsMade).toBe(2);
    expectSameBytes(inPeer(bench, 0, MIB), bytes);
  });

  it("cannot be let go of while a copy runs", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(MIB);
    using imported = bench.api.import(buffer);
    const running = imported.fetch();

    expect(() => imported.close()).toThrow(expect.objectContaining({ code: "WRONG_ORDER" }));

    await running;
  });

  it("lets go of everything when it is closed, copies that run included", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(4 * MIB);
    const imported = bench.api.import(buffer);
    await imported.fetch({ lengthBytes: 4096 });
    const running = imported.store();
    const waiting = imported.fetch();
    await new Promise((resolve) => setImmediate(resolve));

    bench.close();

    const outcomes = await Promise.allSettled([running, waiting, imported.fetch()]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(outcomes[2]).toMatchObject({ reason: { code: "DEVICE_GONE" } });
    expect(bench.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
  });

  it("takes more commands than its ring holds, for memory in many pieces", async () => {
    using bench = await start();
    const { card } = bench;
    // VRAM in holes of one page: every second one of 1200 single pages is given back.
    const singles = Array.from({ length: 1200 }, () => card.allocate(4096));
    const rest = card.allocate(card.api.freeBytes("visible"));
    const [freed, kept] = [0, 1].map((parity) =>
      singles.filter((_, index) => index % 2 === parity),
    ) as [DmaBuf[], DmaBuf[]];
    await Promise.all(singles.map((single) => single.read(0, 1)));
    for (const single of freed) {
      single.close();
    }
    {
      using buffer = card.allocate(600 * 4096);
      const bytes = pattern(buffer.sizeBytes, 8);
      await buffer.write(0, bytes);
      using imported = bench.api.import(buffer);

      const { segmentCount } = await imported.fetch();

      expect(segmentCount).toBe(600);
      expectSameBytes(inPeer(bench, 0, buffer.sizeBytes), bytes);
    }
    for (const buffer of [...kept, rest]) {
      await buffer.read(0, 1);
      buffer.close();
    }
  });

  it("fails the copy, and only that, when a read reaches nothing", async () => {
    using bench = await start();
    using buffer = bench.card.allocate(MIB);
    using imported = bench.api.import(buffer);
    await imported.fetch();
    const slot = bench.machine.fabric.map.slots.find(
      ({ row, prefetchable }) => prefetchable && bench.machine.topology.bdfOf(row) === OWNER,
    );
    const model = slot?.model;

    if (slot !== undefined) {
      slot.model = undefined;
    }
    await expect(imported.fetch()).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      message: expect.stringContaining("reached nothing"),
    });
    if (slot !== undefined) {
      slot.model = model;
    }

    await imported.fetch();
  });
});

describe("GPU peer driver on memory that is taken away", () => {
  async function startHanded(): Promise<
    CapturedMachine & { card: BarMemory; handed: Vfio; buffer: DmaBuf; api: GpuPeer }
  > {
    const card = createBarMemory();
    const models = { [OWNER]: card, [PEER]: createGpu({ vramBytes: 32 * MIB }) };
    const started = await startCaptured("server-05", models);
    const functionCalls = { reset: () => card.reset(), setMemoryEnabled: () => undefined };
    const exporter = started.framework.openExporter(vfio, OWNER, functionCalls);
    const { api } = started.framework.openImporter(gpuPeer, PEER, undefined);
    return { ...started, card, handed: exporter.api, buffer: exporter.allocate(MIB), api };
  }

  it("lets go in time for a reset, and comes back after it", async () => {
    using bench = await startHanded();
    using buffer = bench.buffer;
    using imported = bench.api.import(buffer);
    const copying = imported.store();

    await Promise.all([copying, imported.fetch().then(() => bench.handed.reset())]);
    await imported.fetch();

    expect(imported.mapsMade).toBe(2);
    expect(bench.platform.guardFaults).toBe(0);
  });

  it("refuses to copy while the memory is away", async () => {
    using bench = await startHanded();
    using buffer = bench.buffer;
    using imported = bench.api.import(buffer);
    await imported.fetch();

    await bench.handed.disableMemory();

    await expect(imported.fetch()).rejects.toMatchObject({ code: "DEVICE_GONE", errno: "ENODEV" });
  });
});
