import { gpu, systemHeap } from "@peerbuf/exporters";
import type { Rdma, RdmaProtectionDomain } from "@peerbuf/importers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connected, FULL_ACCESS, type RdmaBench, startRdma } from "./rdma-bench.ts";
import { after, bytesIn, expectSameBytes, GPU, MIB, pattern } from "./server-machine.ts";

const openHeap = ({ server }: RdmaBench) =>
  server.framework.openExporter(systemHeap, undefined, undefined);

describe("RDMA driver, messages", () => {
  it("arrive byte for byte, in order, at whoever receives, whatever their lengths", async () => {
    using bench = await startRdma({ machine: { pagePlacement: "scattered" } });
    const { near, far, queuePair, otherEnd } = bench;
    const heap = openHeap(bench);
    using here = heap.allocate(MIB);
    using there = heap.allocate(MIB);
    const bytes = pattern(MIB);
    await here.write(0, bytes);
    await using local = await near.api.register(here);
    await using remote = await far.api.register(there, { localWrite: true });
    const message = fc.record({
      offset: fc.nat(MIB / 2),
      room: fc.nat(MIB / 2),
      lengthBytes: fc.nat(MIB / 8),
      late: fc.boolean(),
    });

    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 5 }), async (messages) => {
        await there.write(0, new Uint8Array(MIB));
        const receive = ({ room, lengthBytes }: (typeof messages)[number]) =>
          otherEnd.receive(remote, { offset: room, lengthBytes: lengthBytes + 7 });
        const expected = new Uint8Array(MIB);
        const received: Promise<{ lengthBytes: number }>[] = [];

        for (const each of messages) {
          const { offset, room, lengthBytes, late } = each;
          const early = late ? undefined : receive(each);
          const sending = queuePair.send(local, { offset, lengthBytes });
          await after(bench.server, late ? 200_000 : 0);
          received.push(early ?? receive(each));
          await sending;
          expected.set(bytes.subarray(offset, offset + lengthBytes), room);
        }

        const lengths = (await Promise.all(received)).map(({ lengthBytes }) => lengthBytes);
        expect(lengths).toEqual(messages.map(({ lengthBytes }) => lengthBytes));
        expectSameBytes(await there.read(0, MIB), expected);
      }),
      { numRuns: 25 },
    );
    expect(bench.server.platform.guardFaults).toBe(0);
  });

  it("go from VRAM to VRAM of the same card through a peer's NIC, with no copy in host memory", async () => {
    using bench = await startRdma();
    const { near, server } = bench;
    const card = server.framework.openExporter(gpu, GPU, undefined);
    using source = card.allocate(MIB);
    using target = card.allocate(MIB);
    const bytes = pattern(MIB, 6);
    await source.write(0, bytes);
    await using local = await near.api.register(source);
    await using remote = await near.api.register(target, { localWrite: true });
    const [here, there] = await connected(near.api, near.api);

    const [{ lengthBytes }, { negotiated }] = await Promise.all([
      there.receive(remote),
      here.send(local),
    ]);

    expect(lengthBytes).toBe(MIB);
    expect([negotiated.route, remote.negotiated.route]).toEqual(["bus-addr", "bus-addr"]);
    expectSameBytes(bytesIn(server.gpu.inspect().vram, MIB, MIB), bytes);
  });

  it("fail at both ends when there is no room, and everything behind is flushed", async () => {
    using bench = await startRdma();
    const { near, far, queuePair, otherEnd } = bench;
    const heap = openHeap(bench);
    using here = heap.allocate(8192);
    using there = heap.allocate(8192);
    await using local = await near.api.register(here);
    await using remote = await far.api.register(there, { localWrite: true });
    const receiving = [
      otherEnd.receive(remote, { lengthBytes: 100 }),
      otherEnd.receive(remote, { lengthBytes: 8192 }),
    ];

    const sending = [queuePair.send(local, { lengthBytes: 101 }), queuePair.send(local)];
    const outcomes = await Promise.allSettled([...receiving, ...sending]);

    expect(outcomes.map((each) => each.status === "rejected" && String(each.reason))).toEqual([
      expect.stringContaining("local length error"),
      expect.stringContaining("flushed"),
      expect.stringContaining("remote invalid request"),
      expect.stringContaining("flushed"),
    ]);
    expect([queuePair.broken, otherEnd.broken]).toEqual([
      expect.stringContaining("remote invalid request"),
      expect.stringContaining("local length error"),
    ]);
    expectSameBytes(await there.read(0, 8192), new Uint8Array(8192));
  });

  it("give up as often as they may when nobody receives", async () => {
    using bench = await startRdma();
    const { near, far } = bench;
    using here = openHeap(bench).allocate(4096);
    await using local = await near.api.register(here);
    const [impatient] = await connected(near.api, far.api, { rnrRetry: 2 });
    const beginNs = bench.server.machine.clock.nowNs;

    await expect(impatient.send(local)).rejects.toThrow("RNR retry exceeded");

    const waitedNs = bench.server.machine.clock.nowNs - beginNs;
    // Each of the three tries takes some time of its own on the captured link.
    expect(Math.floor(waitedNs / 120_000)).toBe(2);
  });

  it("end as flushed when the queue pair that receives is closed, and as gone with the driver", async () => {
    using bench = await startRdma();
    const { near, far, queuePair, otherEnd } = bench;
    const heap = openHeap(bench);
    using here = heap.allocate(4096);
    using there = heap.allocate(4096);
    const local = await near.api.register(here, { localWrite: true });
    const remote = await far.api.register(there, { localWrite: true });
    const flushed = expect(otherEnd.receive(remote)).rejects.toThrow("flushed");
    const gone = expect(queuePair.receive(local)).rejects.toMatchObject({ code: "DEVICE_GONE" });
    await after(bench.server, 10_000);

    await otherEnd.close();
    near.close();

    await Promise.all([flushed, gone]);
    await remote.deregister();
  });

  it("wait for no answer that may never come: a receive request does not stop the NIC", async () => {
    using bench = await startRdma();
    const { near, far, queuePair, otherEnd } = bench;
    const heap = openHeap(bench);
    using here = heap.allocate(4096);
    using there = heap.allocate(4096);
    await using local = await near.api.register(here);
    await using remote = await far.api.register(there, { localWrite: true });
    const receiving = otherEnd.receive(remote, { lengthBytes: 8 });
    await after(bench.server, 120_000_000_000);

    await queuePair.send(local, { lengthBytes: 8 });

    expect(await receiving).toMatchObject({ lengthBytes: 8 });
  });

  it("refuse to be sent before the queue pair is connected, and retries that are no count", async () => {
    using bench = await startRdma();
    const { near } = bench;
    using here = openHeap(bench).allocate(4096);
    await using local = await near.api.register(here);
    const alone = await near.api.createQueuePair();

    await expect(alone.send(local)).rejects.toMatchObject({ code: "WRONG_ORDER", errno: "EINVAL" });
    await expect(near.api.createQueuePair({ rnrRetry: 8 })).rejects.toMatchObject({
      code: "ARGUMENT_INVALID",
    });
  });
});

describe("RDMA driver, protection domains", () => {
  const domains = async (api: Rdma): Promise<[RdmaProtectionDomain, RdmaProtectionDomain]> => [
    await api.allocateProtectionDomain(),
    await api.allocateProtectionDomain(),
  ];

  it.each([
    ["local", "local protection error (4)"],
    ["remote", "remote access error (10)"],
  ] as const)("keep a queue pair from a %s key of another", async (which, message) => {
    using bench = await startRdma();
    const { near } = bench;
    const heap = openHeap(bench);
    using here = heap.allocate(4096);
    using there = heap.allocate(4096);
    const [domain, stranger] = await domains(near.api);
    const of = (place: string) => (place === which ? stranger : domain);
    const local = await near.api.register(here, { domain: of("local") });
    const remote = await near.api.register(there, { ...FULL_ACCESS, domain: of("remote") });
    const [queuePair] = await connected(near.api, near.api, { domain });
    await here.write(0, pattern(4096));

    await expect(queuePair.write(local, remote)).rejects.toThrow(message);

    expectSameBytes(await there.read(0, 4096), new Uint8Array(4096));
    await Promise.all([local.deregister(), remote.deregister()]);
  });

  it("can be released when nothing is in them any more, and not before", async () => {
    using bench = await startRdma();
    const { near } = bench;
    using here = openHeap(bench).allocate(4096);
    const domain = await near.api.allocateProtectionDomain();
    const region = await near.api.register(here, { domain });

    await expect(domain.release()).rejects.toMatchObject({ code: "WRONG_ORDER", errno: "EBUSY" });
    await region.deregister();
    await domain.release();
    await domain.release();

    await expect(near.api.register(here, { domain })).rejects.toMatchObject({
      code: "DEVICE_FAILED",
    });
    expect(bench.server.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
  });
});
