import type { OpenedExporter } from "@peerbuf/core";
import { type Gpu, gpu, systemHeap } from "@peerbuf/exporters";
import { rdma } from "@peerbuf/importers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connected } from "./rdma-bench.ts";
import {
  after,
  bytesIn,
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

const openCard = (server: Server): OpenedExporter<Gpu> =>
  server.framework.openExporter(gpu, GPU, undefined);

const openHeap = (server: Server): OpenedExporter<object> =>
  server.framework.openExporter(systemHeap, undefined, undefined);

describe("RDMA driver", () => {
  it("writes VRAM behind one NIC straight into system memory behind another", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    using source = openCard(server).allocate(MIB);
    using target = openHeap(server).allocate(MIB);
    const bytes = pattern(MIB);
    await source.write(0, bytes);
    await using local = await near.api.register(source);
    await using remote = await far.api.register(target, { remoteWrite: true });
    const [queuePair, other] = await connected(near.api, far.api);

    const { lengthBytes, negotiated } = await queuePair.write(local, remote);
    await Promise.all([queuePair.close(), other.close()]);

    expect(lengthBytes).toBe(MIB);
    expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "bus-addr" });
    expect(remote.negotiated).toMatchObject({ type: "dma", target: "system" });
    expectSameBytes(await target.read(0, MIB), bytes);
  });

  it("reads over the wire into VRAM", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    using target = openCard(server).allocate(MIB);
    using source = openHeap(server).allocate(MIB);
    const bytes = pattern(MIB);
    await source.write(0, bytes);
    await using local = await near.api.register(target, { localWrite: true });
    await using remote = await far.api.register(source, { remoteRead: true });
    const [queuePair] = await connected(near.api, far.api);

    await queuePair.read(local, remote);

    expectSameBytes(bytesIn(server.gpu.inspect().vram, 0, MIB), bytes);
  });

  it("loops back to the same NIC, any part to any part", async () => {
    using server = startServer({ machine: { pagePlacement: "scattered" } });
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const heap = openHeap(server);
    const sizeBytes = 40 * 4096;
    using here = heap.allocate(sizeBytes);
    using there = heap.allocate(sizeBytes);
    const bytesHere = pattern(sizeBytes, 3);
    const bytesThere = pattern(sizeBytes, 4);
    await here.write(0, bytesHere);
    await there.write(0, bytesThere);
    const access = { localWrite: true, remoteWrite: true, remoteRead: true };
    await using local = await near.api.register(here, access);
    await using remote = await near.api.register(there, access);
    const [queuePair] = await connected(near.api, near.api);
    const part = fc.record({
      way: fc.constantFrom("read" as const, "write" as const),
      localOffset: fc.nat(sizeBytes / 2),
      remoteOffset: fc.nat(sizeBytes / 2),
      lengthBytes: fc.nat(sizeBytes / 2),
    });

    await fc.assert(
      fc.asyncProperty(part, async ({ way, ...range }) => {
        const { localOffset, remoteOffset, lengthBytes } = range;
        if (way === "write") {
          const from = bytesHere.subarray(localOffset, localOffset + lengthBytes);
          bytesThere.set(from, remoteOffset);
        } else {
          const from = bytesThere.subarray(remoteOffset, remoteOffset + lengthBytes);
          bytesHere.set(from, localOffset);
        }

        await queuePair[way](local, remote, range);

        expectSameBytes(await here.read(0, sizeBytes), bytesHere);
        expectSameBytes(await there.read(0, sizeBytes), bytesThere);
      }),
      { numRuns: 40 },
    );
  });

  it("is given system memory where topology allows no peers", async () => {
    using server = startServer();
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    using buffer = openCard(server).allocate(MIB);

    await using region = await far.api.register(buffer);

    expect(region.negotiated).toMatchObject({ type: "dma", target: "system" });
  });

  it("keeps the buffer where it is while it is registered", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    using buffer = openCard(server).allocate(MIB);
    await using region = await near.api.register(buffer);

    await expect(far.api.register(buffer)).rejects.toMatchObject({
      code: "MAP_DECLINED",
      message: expect.stringContaining("PINNED_IN_VRAM"),
    });

    expect(region.negotiated.target).toBe("device");
    await region.deregister();
    await using later = await far.api.register(buffer);
    expect(later.negotiated.target).toBe("system");
  });
});

describe("RDMA driver, protection", () => {
  const setUp = async (server: Server, access = {}) => {
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const heap = openHeap(server);
    const buffers = [heap.allocate(8192), heap.allocate(8192)] as const;
    const local = await near.api.register(buffers[0]);
    const remote = await near.api.register(buffers[1], access);
    const [queuePair] = await connected(near.api, near.api);
    const end = async (): Promise<void> => {
      await Promise.all([local.deregister(), remote.deregister()]);
      buffers.forEach((buffer) => {
        buffer.close();
      });
    };
    return { queuePair, local, remote, end };
  };

  it("ends a write to a region that allows none with a remote access error", async () => {
    using server = startServer();
    const { queuePair, local, remote, end } = await setUp(server, { remoteRead: true });

    await expect(queuePair.write(local, remote)).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      message: expect.stringContaining("remote access error (10)"),
    });
    await end();
  });

  it("ends a write past the end of the remote region with a remote access error", async () => {
    using server = startServer();
    const first = await setUp(server, { remoteWrite: true });
    const range = { lengthBytes: 4096, remoteOffset: 8192 };
    await expect(first.queuePair.write(first.local, first.remote, range)).rejects.toThrow(
      "remote access error (10)",
    );
    await first.end();
  });

  it("ends a request past the end of the local region with a local protection error", async () => {
    using server = startServer();
    const { queuePair, local, remote, end } = await setUp(server, { remoteWrite: true });

    await expect(
      queuePair.write(local, remote, { localOffset: 8191, lengthBytes: 2 }),
    ).rejects.toThrow("local protection error (4)");
    await end();
  });

  it("does not let the NIC write a local region registered for reading", async () => {
    using server = startServer();
    const { queuePair, local, remote, end } = await setUp(server, { remoteRead: true });

    await expect(queuePair.read(local, remote)).rejects.toThrow("local protection error (4)");
    await end();
  });

  it("refuses a key that was given back", async () => {
    using server = startServer();
    const { queuePair, local, remote, end } = await setUp(server, { remoteWrite: true });
    await remote.deregister();

    await expect(queuePair.write(local, remote)).rejects.toThrow("remote access error (10)");
    await end();
  });

  it("flushes what is behind a failed request, and works again on new queue pairs", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    using buffer = openHeap(server).allocate(8192);
    await using region = await near.api.register(buffer, { remoteWrite: true });
    const [broken] = await connected(near.api, near.api);

    const outcomes = await Promise.allSettled([
      broken.write(region, { key: 1, sizeBytes: 8192 }),
      broken.write(region, region, { lengthBytes: 16 }),
    ]);
    const [fresh] = await connected(near.api, near.api);
    const { lengthBytes } = await fresh.write(region, region, { lengthBytes: 16 });

    expect(outcomes.map((each) => each.status === "rejected" && String(each.reason))).toEqual([
      expect.stringContaining("remote access error (10)"),
      expect.stringContaining("flushed"),
    ]);
    expect(lengthBytes).toBe(16);
  });

  it.each([
    ["write", NEAR_NIC, "local QP operation error (2)"],
    ["read", FAR_NIC, "remote operation error (11)"],
  ] as const)("ends a %s whose source %s cannot read with a %s", async (way, broken, message) => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    const heap = openHeap(server);
    using here = heap.allocate(8192);
    using there = heap.allocate(8192);
    const access = { localWrite: true, remoteWrite: true, remoteRead: true };
    await using local = await near.api.register(here, access);
    await using remote = await far.api.register(there, access);
    const [queuePair] = await connected(near.api, far.api);
    const cut = changeLink(server, broken, (port) => ({
      read: (...request) =>
        request[3] >= 4096 ? { ok: false, lostBytes: request[3] } : port.read(...request),
    }));

    await expect(queuePair[way](local, remote)).rejects.toThrow(message);
    cut.remove();
  });

  it("stops work on a region that is deregistered meanwhile, before its addresses are gone", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const heap = openHeap(server);
    using here = heap.allocate(4 * MIB);
    using there = heap.allocate(4 * MIB);
    const local = await near.api.register(here);
    await using remote = await near.api.register(there, { remoteWrite: true });
    const [queuePair] = await connected(near.api, near.api);

    const outcome = expect(queuePair.write(local, remote)).rejects.toThrow(
      "local protection error (4)",
    );
    await after(server, 20_000);
    await local.deregister();

    await outcome;
    expect(server.platform.guardFaults).toBe(0);
  });

  it("gives up when nobody answers at the other end", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    using buffer = openHeap(server).allocate(4096);
    await using region = await near.api.register(buffer, { remoteWrite: true });
    const alone = await near.api.createQueuePair();
    await alone.connect({ lid: 77, queuePair: 1 });

    await expect(alone.write(region, region)).rejects.toThrow("retry exceeded");
    expect(alone.broken).toContain("retry exceeded");
  });
});

describe("RDMA driver, giving back", () => {
  it("lets go of everything when it is closed with regions and queue pairs open", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    using buffer = openCard(server).allocate(MIB);
    const region = await near.api.register(buffer);
    await near.api.createQueuePair();

    near.close();

    expect(server.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
    await region.deregister();
    await expect(near.api.register(buffer)).rejects.toMatchObject({ code: "DEVICE_GONE" });
  });

  it("flushes what is on its way when a queue pair is closed, and writes nothing after that", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const heap = openHeap(server);
    using here = heap.allocate(MIB);
    using there = heap.allocate(MIB);
    await here.write(0, pattern(MIB));
    await using local = await near.api.register(here);
    await using remote = await near.api.register(there, { remoteWrite: true });
    const [queuePair] = await connected(near.api, near.api);
    const outcome = expect(queuePair.write(local, remote)).rejects.toThrow("flushed");
    await after(server, 2_000_000); // The captured link, 2.5 GT/s with one lane, carries 0.2 GB/s.

    await queuePair.close();

    await outcome;
    const arrived = await there.read(0, MIB);
    await after(server, 10_000_000);
    expect(arrived.some((byte) => byte !== 0)).toBe(true);
    expect(arrived.at(-1)).toBe(0);
    expectSameBytes(await there.read(0, MIB), arrived);
    await local.deregister();
    await expect(near.api.createQueuePair()).resolves.toBeDefined();
  });

  it("gives back a queue pair once that is closed while the driver is", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const queuePair = await near.api.createQueuePair();
    const closing = expect(queuePair.close()).rejects.toMatchObject({ code: "DEVICE_GONE" });

    near.close();

    await closing;
  });

  it("refuses more queue pairs than it has room for", async () => {
    using server = startServer();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    for (let count = 0; count < 32; count++) {
      await near.api.createQueuePair();
    }

    await expect(near.api.createQueuePair()).rejects.toMatchObject({ code: "MEMORY_EXHAUSTED" });
  });
});
