import type { DmaBuf } from "@peerbuf/core";
import { gpu, systemHeap } from "@peerbuf/exporters";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connected, FULL_ACCESS, type RdmaBench, startRdma } from "./rdma-bench.ts";
import {
  after,
  changeLink,
  expectSameBytes,
  GPU,
  MIB,
  NEAR_NIC,
  pattern,
  type ServerOptions,
} from "./server-machine.ts";
import { wanderer } from "./wanderer.ts";

const PEER = { type: "p2p", target: "device", route: "bus-addr" };
const SYSTEM = { type: "p2p", target: "system", route: "system" };
const ON_DEMAND = { ...FULL_ACCESS, flavour: "on-demand" } as const;

interface Bench extends RdmaBench {
  /** Of a wanderer's buffer; the test's end takes back what it has given out. */
  allocate(sizeBytes?: number): DmaBuf;
  /** The wanderer moves all its buffers. */
  move(copyNs?: number): void;
  /** Of a buffer that stays where it is. */
  allocateFixed(): DmaBuf;
}

/** Both NICs connected, and an exporter that moves when the test says so. */
async function start(options: ServerOptions = {}): Promise<Bench> {
  const bench = await startRdma(options);
  const { framework } = bench.server;
  const moving = framework.openExporter(wanderer, undefined, undefined);
  const heap = framework.openExporter(systemHeap, undefined, undefined);
  return {
    ...bench,
    allocate: (sizeBytes = MIB) => moving.allocate(sizeBytes),
    allocateFixed: () => heap.allocate(MIB),
    move: (copyNs) => moving.api.move(copyNs),
    [Symbol.dispose]: () => bench[Symbol.dispose](),
  };
}

/** Resolves when no copy of a move runs any more. */
async function moved(...buffers: readonly DmaBuf[]): Promise<void> {
  for (const { reservation } of buffers) {
    await reservation.idleBefore("move");
  }
}

/** A small card, so that a second buffer drives the first one out. */
const startSmall = (): Promise<Bench> => start({ vramBytes: 16 * MIB });
const openCard = ({ server }: Bench) => server.framework.openExporter(gpu, GPU, undefined);

describe("RDMA region on demand, at a GPU that evicts", () => {
  it("sends a buffer byte for byte that leaves VRAM meanwhile, and says where it was", async () => {
    using bench = await startSmall();
    const { server, near, far, queuePair, allocate } = bench;
    const card = openCard(bench);
    using source = card.allocate(8 * MIB);
    using target = allocate(8 * MIB);
    const bytes = pattern(8 * MIB);
    await source.write(0, bytes);
    await using local = await near.api.register(source, ON_DEMAND);
    await using remote = await far.api.register(target, FULL_ACCESS);

    const sending = queuePair.write(local, remote);
    await after(server, 100_000);
    using usurper = card.allocate(12 * MIB);
    await sending;

    expectSameBytes(await target.read(0, 8 * MIB), bytes);
    expect(usurper.sizeBytes).toBe(12 * MIB);
    expect(local.mappings).toMatchObject([PEER, SYSTEM]);
    expect(server.platform.guardFaults).toBe(0);
    expect(server.framework.handles()).toMatchObject({ attachments: 2, mappings: 2 });
  });

  it("has the whole way on the record: mapped, moved, mapped again", async () => {
    using bench = await startSmall();
    const { near } = bench;
    const card = openCard(bench);
    using buffer = card.allocate(8 * MIB);
    await using region = await near.api.register(buffer, ON_DEMAND);
    const [loop] = await connected(near.api, near.api);

    using usurper = card.allocate(12 * MIB);
    await loop.write(region, region, { lengthBytes: 64, remoteOffset: 4096 });

    const word = ({ stage, party, reason }: (typeof region.negotiated.decisions)[number]) =>
      `${stage} ${party} ${reason.code}`;
    expect(usurper.attachments).toEqual([]);
    expect(
      region.negotiated.decisions
        .map(word)
        .filter((line) => /exporter (PLACED|EVICTED|LIVES)/.test(line)),
    ).toEqual(["map exporter PLACED", "move exporter EVICTED", "map exporter LIVES_IN_SYSTEM"]);
  });

  it.each(["read", "write"] as const)(
    "is written by a %s over the wire byte for byte while it leaves VRAM",
    async (way) => {
      using bench = await startSmall();
      const { server, near, far, queuePair, allocate } = bench;
      const card = openCard(bench);
      using evicted = card.allocate(8 * MIB);
      using source = allocate(8 * MIB);
      const bytes = pattern(8 * MIB, 2);
      await source.write(0, bytes);
      await using region = await near.api.register(evicted, ON_DEMAND);
      await using other = await far.api.register(source, FULL_ACCESS);
      const [fromFar] = await connected(far.api, near.api);

      const writing = way === "read" ? queuePair.read(region, other) : fromFar.write(other, region);
      await after(server, 100_000);
      using usurper = card.allocate(12 * MIB);
      await writing;

      expectSameBytes(await evicted.read(0, 8 * MIB), bytes);
      expect(usurper.sizeBytes).toBe(12 * MIB);
      expect(region.mappings).toMatchObject([PEER, SYSTEM]);
      expect(server.platform.guardFaults).toBe(0);
    },
  );
});

describe("RDMA region on demand, at an exporter that moves all the time", () => {
  it("moves the same bytes as ever, whenever both ends move", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, move } = bench;
    using here = allocate();
    using there = allocate();
    await using local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, ON_DEMAND);
    let mapsMade = 0;

    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("read" as const, "write" as const),
        fc.array(fc.nat(60_000), { maxLength: 4 }),
        fc.nat(),
        async (way, pausesNs, seed) => {
          const [source, target] = way === "write" ? [here, there] : [there, here];
          const bytes = pattern(MIB, seed);
          await source.write(0, bytes);

          const moving = queuePair[way](local, remote);
          for (const pauseNs of pausesNs) {
            await after(server, pauseNs);
            move();
          }
          await moving;

          expectSameBytes(await target.read(0, MIB), bytes);
          expectSameBytes(await source.read(0, MIB), bytes);
          mapsMade = Math.max(mapsMade, local.mappings.length, remote.mappings.length);
        },
      ),
      { numRuns: 40 },
    );

    expect(mapsMade).toBe(16);
    expect(server.platform.guardFaults).toBe(0);
  });

  it("keeps the old place until the access under way is over, by a fence in the buffer", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, allocateFixed, move } = bench;
    using here = allocate();
    await using local = await near.api.register(here, ON_DEMAND);
    using there = allocateFixed();
    await using remote = await far.api.register(there, FULL_ACCESS);
    const before = here.reservation.testSignaled("bookkeep");
    const sending = queuePair.write(local, remote, { lengthBytes: 65_536 });
    await after(server, 1_000);

    move();
    const during = here.reservation.getFences("bookkeep").map(({ driverName }) => driverName);
    const heldDuring = here.attachments[0]?.mappingCount;
    await sending;

    expect(before).toBe(true);
    expect(during.sort()).toEqual(["rdma", "wanderer"]);
    expect(heldDuring).toBe(1);
    expect(here.attachments[0]?.mappingCount).toBe(0);
    await moved(here);
    expect(server.platform.guardFaults).toBe(0);
  });

  it("is not mapped while nobody uses it after a move", async () => {
    using bench = await start();
    const { server, near, allocate, move } = bench;
    using buffer = allocate();
    await using region = await near.api.register(buffer, ON_DEMAND);

    move();

    expect(server.framework.handles()).toMatchObject({ attachments: 1, mappings: 0 });
    expect(region.mappings).toHaveLength(1);
    await moved(buffer);
  });
});

describe("RDMA region on demand, limits and ends", () => {
  it("refuses the 65th region of a NIC", async () => {
    using bench = await start();
    const { near, allocate } = bench;
    using buffer = allocate(4096);
    const regions = await Promise.all(
      Array.from({ length: 64 }, () => near.api.register(buffer, ON_DEMAND)),
    );

    await expect(near.api.register(buffer, ON_DEMAND)).rejects.toMatchObject({
      code: "MEMORY_EXHAUSTED",
    });

    await using other = await near.api.register(buffer, { flavour: "revocable" });
    expect(other.flavour).toBe("revocable");
    await Promise.all(regions.map((region) => region.deregister()));
  });

  it("ends a request that waits for a region that is deregistered", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, move } = bench;
    using here = allocate();
    using there = allocate();
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, { ...FULL_ACCESS, flavour: "on-demand" });
    move();
    const outcome = expect(queuePair.write(local, remote)).rejects.toThrow(
      "local protection error (4)",
    );
    await after(server, 1_000);

    await local.deregister();

    await outcome;
    expect(server.framework.handles()).toMatchObject({ attachments: 1 });
    await moved(here, there);
  });

  it("lets go of everything when it is closed in the middle of a page fault", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, move } = bench;
    using here = allocate();
    using there = allocate();
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, ON_DEMAND);
    move();
    const outcome = expect(queuePair.write(local, remote)).rejects.toMatchObject({
      code: "DEVICE_GONE",
    });
    await after(server, 5_000);
    const during = here.attachments[0]?.mappingCount;

    near.close();

    expect(during).toBe(1);
    expect(here.attachments).toEqual([]);
    await outcome;
    await moved(here, there);
  });

  it("lets a move go on when it is closed while an access is under way", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, move } = bench;
    using here = allocate();
    using there = allocate();
    const bytes = pattern(MIB, 7);
    await here.write(0, bytes);
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, ON_DEMAND);
    const outcome = expect(queuePair.write(local, remote)).rejects.toMatchObject({
      code: "DEVICE_GONE",
    });
    await after(server, 1_000);
    move();

    near.close();

    expectSameBytes(await here.read(0, MIB), bytes);
    await outcome;
  });

  it("stops a NIC that does not say when its accesses are over, and the move goes on", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, allocateFixed, move } = bench;
    using here = allocate();
    using there = allocateFixed();
    const bytes = pattern(MIB, 8);
    await here.write(0, bytes);
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, ON_DEMAND);
    const outcome = expect(queuePair.write(local, remote)).rejects.toThrow(
      "local QP operation error (2)",
    );
    await after(server, 1_000);
    const [lostBytes, DRAINED] = [32, 2];
    const forgetful = changeLink(server, NEAR_NIC, (port) => ({
      write: (...request) =>
        request[3] === lostBytes && request[1][0] === DRAINED
          ? { ok: false, lostBytes }
          : port.write(...request),
    }));

    move();

    await outcome;
    expectSameBytes(await here.read(0, MIB), bytes);
    await expect(near.api.createQueuePair()).rejects.toMatchObject({ code: "DEVICE_GONE" });
    forgetful.remove();
    await local.deregister();
  });

  it("lets the buffer go when it is deregistered while an access is under way on the old place", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, allocateFixed, move } = bench;
    using here = allocate();
    using there = allocateFixed();
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    const outcome = expect(queuePair.write(local, remote)).rejects.toThrow(
      "local protection error (4)",
    );
    await after(server, 301);
    move();

    await local.deregister();

    expect(here.attachments).toEqual([]);
    await outcome;
    await moved(here);
    expect(server.platform.guardFaults).toBe(0);
  });

  it("waits anew for each move that a request meets", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, allocateFixed, move } = bench;
    using here = allocate();
    using there = allocateFixed();
    const bytes = pattern(MIB, 9);
    await here.write(0, bytes);
    await using local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    const sending = queuePair.write(local, remote);
    await after(server, 5_000);
    move(700_000_000);
    await moved(here);
    await after(server, 10_000);
    move(700_000_000);

    const { elapsedNs } = await sending;

    expect(elapsedNs).toBeGreaterThan(1_400_000_000);
    expect(local.mappings).toHaveLength(3);
    expectSameBytes(await there.read(0, MIB), bytes);
  });

  it("hears the fault of a move that comes when the NIC has the mapping and the driver does not know yet", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, allocateFixed, move } = bench;
    using here = allocate();
    using there = allocateFixed();
    const bytes = pattern(MIB, 10);
    await here.write(0, bytes);
    await using local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    move();
    const sending = queuePair.write(local, remote);
    let interrupts = 0;
    const [pageFault, mapped] = [1, 2];
    const meddler = changeLink(server, NEAR_NIC, (port) => ({
      interrupt(vector) {
        interrupts++;
        if (interrupts === mapped) {
          move();
        }
        port.interrupt(vector);
      },
    }));
    await after(server, 1_000);
    const early = interrupts;

    await sending;
    meddler.remove();

    expect(early).toBe(pageFault);
    expect(local.mappings).toHaveLength(3);
    expectSameBytes(await there.read(0, MIB), bytes);
  });

  it("says why a page fault failed, and tries again at the next access", async () => {
    using bench = await start();
    const { server, near, far, queuePair, allocate, allocateFixed, move } = bench;
    using here = allocate();
    using there = allocateFixed();
    const bytes = pattern(MIB, 11);
    await here.write(0, bytes);
    await using local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    move();
    const tableBytes = 16;
    const cut = changeLink(server, NEAR_NIC, (port) => ({
      read: (...request) =>
        request[3] === tableBytes ? { ok: false, lostBytes: tableBytes } : port.read(...request),
    }));

    await expect(queuePair.write(local, remote)).rejects.toThrow(
      /local QP operation error \(2\): .*the table of segments could not be read/,
    );
    const mapped = here.attachments[0]?.mappingCount;
    cut.remove();
    await (await connected(near.api, far.api))[0].write(local, remote);

    expect(mapped).toBe(0);
    expect(local.pageError).toBeUndefined();
    expectSameBytes(await there.read(0, MIB), bytes);
  });

  it("ends a registration that waits for a move when the driver is closed", async () => {
    using bench = await start();
    const { server, near, allocate, move } = bench;
    using buffer = allocate();
    move();
    const outcome = expect(near.api.register(buffer, ON_DEMAND)).rejects.toMatchObject({
      code: "DEVICE_GONE",
    });
    await after(server, 10_000);
    const during = server.framework.handles().mappings;

    near.close();

    expect(during).toBe(1);
    expect(server.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
    await outcome;
    await moved(buffer);
  });
});
