import type { DmaBuf } from "@peerbuf/core";
import { gpu, systemHeap } from "@peerbuf/exporters";
import { connectQueuePairs, type Rdma, type RdmaQueuePair, rdma } from "@peerbuf/importers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  after,
  changeLink,
  expectSameBytes,
  FAR_NIC,
  GPU,
  MIB,
  NEAR_NIC,
  pattern,
  type Server,
  startServer,
} from "./server-machine.ts";
import { wanderer } from "./wanderer.ts";

const PEER = { type: "p2p", target: "device", route: "bus-addr" };
const SYSTEM = { type: "p2p", target: "system", route: "system" };
const FULL_ACCESS = { localWrite: true, remoteWrite: true, remoteRead: true };
const ON_DEMAND = { ...FULL_ACCESS, flavour: "on-demand" } as const;

async function connected(one: Rdma, other: Rdma): Promise<RdmaQueuePair> {
  const [here, there] = [await one.createQueuePair(), await other.createQueuePair()];
  await connectQueuePairs(here, there);
  return here;
}

/** Both NICs, with a queue pair from the near one to the far one. */
async function openNics(server: Server) {
  const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
  const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
  return { near, far, queuePair: await connected(near.api, far.api) };
}

const openHeap = (server: Server) =>
  server.framework.openExporter(systemHeap, undefined, undefined);

const openWanderer = (server: Server) =>
  server.framework.openExporter(wanderer, undefined, undefined);

/** Resolves when no copy of a move runs any more. */
async function moved(...buffers: readonly DmaBuf[]): Promise<void> {
  for (const { reservation } of buffers) {
    await reservation.idleBefore("move");
  }
}

/** A small card, so that a second buffer drives the first one out. */
const smallCard = (): Server => startServer({ vramBytes: 16 * MIB });
const openCard = (server: Server) => server.framework.openExporter(gpu, GPU, undefined);

describe("RDMA region on demand, at a GPU that evicts", () => {
  it("sends a buffer byte for byte that leaves VRAM meanwhile, and says where it was", async () => {
    using server = smallCard();
    const { near, far, queuePair } = await openNics(server);
    const card = openCard(server);
    using source = card.allocate(8 * MIB);
    using target = openWanderer(server).allocate(8 * MIB);
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
    using server = smallCard();
    const { near } = await openNics(server);
    const card = openCard(server);
    using buffer = card.allocate(8 * MIB);
    await using region = await near.api.register(buffer, ON_DEMAND);
    const loop = await connected(near.api, near.api);

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
      using server = smallCard();
      const { near, far, queuePair } = await openNics(server);
      const card = openCard(server);
      using evicted = card.allocate(8 * MIB);
      using source = openWanderer(server).allocate(8 * MIB);
      const bytes = pattern(8 * MIB, 2);
      await source.write(0, bytes);
      await using region = await near.api.register(evicted, ON_DEMAND);
      await using other = await far.api.register(source, FULL_ACCESS);
      const fromFar = await connected(far.api, near.api);

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
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = allocate(MIB);
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
            api.move();
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
    using server = startServer();
    const { near, queuePair, far } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    await using local = await near.api.register(here, ON_DEMAND);
    using there = openHeap(server).allocate(MIB);
    await using remote = await far.api.register(there, FULL_ACCESS);
    const before = here.reservation.testSignaled("bookkeep");
    const sending = queuePair.write(local, remote, { lengthBytes: 65_536 });
    await after(server, 1_000);

    api.move();
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
    using server = startServer();
    const { near } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using buffer = allocate(MIB);
    await using region = await near.api.register(buffer, ON_DEMAND);

    api.move();

    expect(server.framework.handles()).toMatchObject({ attachments: 1, mappings: 0 });
    expect(region.mappings).toHaveLength(1);
    await moved(buffer);
  });
});

describe("RDMA region on demand, limits and ends", () => {
  it("refuses the 65th region of a NIC", async () => {
    using server = startServer();
    const { near } = await openNics(server);
    using buffer = openWanderer(server).allocate(4096);
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
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = allocate(MIB);
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, { ...FULL_ACCESS, flavour: "on-demand" });
    api.move();
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
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = allocate(MIB);
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, ON_DEMAND);
    api.move();
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
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = allocate(MIB);
    const bytes = pattern(MIB, 7);
    await here.write(0, bytes);
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, ON_DEMAND);
    const outcome = expect(queuePair.write(local, remote)).rejects.toMatchObject({
      code: "DEVICE_GONE",
    });
    await after(server, 1_000);
    api.move();

    near.close();

    expectSameBytes(await here.read(0, MIB), bytes);
    await outcome;
  });

  it("stops a NIC that does not say when its accesses are over, and the move goes on", async () => {
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = openHeap(server).allocate(MIB);
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

    api.move();

    await outcome;
    expectSameBytes(await here.read(0, MIB), bytes);
    await expect(near.api.createQueuePair()).rejects.toMatchObject({ code: "DEVICE_GONE" });
    forgetful.remove();
    await local.deregister();
  });

  it("lets the buffer go when it is deregistered while an access is under way on the old place", async () => {
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = openHeap(server).allocate(MIB);
    const local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    const outcome = expect(queuePair.write(local, remote)).rejects.toThrow(
      "local protection error (4)",
    );
    await after(server, 301);
    api.move();

    await local.deregister();

    expect(here.attachments).toEqual([]);
    await outcome;
    await moved(here);
    expect(server.platform.guardFaults).toBe(0);
  });

  it("waits anew for each move that a request meets", async () => {
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = openHeap(server).allocate(MIB);
    const bytes = pattern(MIB, 9);
    await here.write(0, bytes);
    await using local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    const sending = queuePair.write(local, remote);
    await after(server, 5_000);
    api.move(700_000_000);
    await moved(here);
    await after(server, 10_000);
    api.move(700_000_000);

    const { elapsedNs } = await sending;

    expect(elapsedNs).toBeGreaterThan(1_400_000_000);
    expect(local.mappings).toHaveLength(3);
    expectSameBytes(await there.read(0, MIB), bytes);
  });

  it("hears the fault of a move that comes when the NIC has the mapping and the driver does not know yet", async () => {
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = openHeap(server).allocate(MIB);
    const bytes = pattern(MIB, 10);
    await here.write(0, bytes);
    await using local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    api.move();
    const sending = queuePair.write(local, remote);
    let interrupts = 0;
    const [pageFault, mapped] = [1, 2];
    const meddler = changeLink(server, NEAR_NIC, (port) => ({
      interrupt(vector) {
        interrupts++;
        if (interrupts === mapped) {
          api.move();
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
    using server = startServer();
    const { near, far, queuePair } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using here = allocate(MIB);
    using there = openHeap(server).allocate(MIB);
    const bytes = pattern(MIB, 11);
    await here.write(0, bytes);
    await using local = await near.api.register(here, ON_DEMAND);
    await using remote = await far.api.register(there, FULL_ACCESS);
    api.move();
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
    await (await connected(near.api, far.api)).write(local, remote);

    expect(mapped).toBe(0);
    expect(local.pageError).toBeUndefined();
    expectSameBytes(await there.read(0, MIB), bytes);
  });

  it("ends a registration that waits for a move when the driver is closed", async () => {
    using server = startServer();
    const { near } = await openNics(server);
    const { allocate, api } = openWanderer(server);
    using buffer = allocate(MIB);
    api.move();
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
