import type { DmaBuf } from "@peerbuf/core";
import { gpu, systemHeap, type Vfio, vfio } from "@peerbuf/exporters";
import { connectQueuePairs, type Rdma, type RdmaQueuePair, rdma } from "@peerbuf/importers";
import { type BarMemory, createBarMemory, createRdmaNic, RdmaWire } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { type CapturedMachine, startCaptured } from "./captured-machine.ts";
import {
  expectSameBytes,
  FAR_NIC,
  GPU,
  MIB,
  NEAR_NIC,
  pattern,
  startServer,
} from "./server-machine.ts";
import { wanderer } from "./wanderer.ts";

/** The function in user space, below the near NIC's switch. */
const HANDED = GPU;
const FULL_ACCESS = { localWrite: true, remoteWrite: true, remoteRead: true };
const REVOCABLE = { ...FULL_ACCESS, flavour: "revocable" } as const;

interface Bench extends CapturedMachine {
  readonly near: Rdma;
  readonly far: Rdma;
  readonly api: Vfio;
  /** A window on the function's memory. */
  readonly window: DmaBuf;
  readonly heap: DmaBuf;
  /** What the function's memory holds. */
  readonly memory: () => Uint8Array;
  readonly fill: (bytes: Uint8Array) => void;
}

/** Without a guard: what keeps the NIC out is the NIC itself. */
async function start(onReset: (card: BarMemory) => void = () => undefined): Promise<Bench> {
  const card = createBarMemory();
  const wire = new RdmaWire();
  const models = {
    [HANDED]: card,
    [NEAR_NIC]: createRdmaNic({ wire }),
    [FAR_NIC]: createRdmaNic({ wire }),
  };
  const started = await startCaptured("server-05", models, { guard: false });
  const { framework } = started;
  const handed = {
    reset: () => {
      card.reset();
      onReset(card);
    },
    setMemoryEnabled: () => undefined,
  };
  const { api, allocate } = framework.openExporter(vfio, HANDED, handed);
  const near = framework.openImporter(rdma, NEAR_NIC, undefined).api;
  const far = framework.openImporter(rdma, FAR_NIC, undefined).api;
  const window = allocate(SIZE_BYTES);
  const heap = framework.openExporter(systemHeap, undefined, undefined).allocate(SIZE_BYTES);
  const memory = (): Uint8Array => {
    const bytes = new Uint8Array(SIZE_BYTES);
    card.inspect().memory?.read(0, bytes);
    return bytes;
  };
  const fill = (bytes: Uint8Array): void => card.inspect().memory?.write(0, bytes);
  const dispose = (): void => {
    window.close();
    heap.close();
    started[Symbol.dispose]();
  };
  return { ...started, near, far, api, window, heap, memory, fill, [Symbol.dispose]: dispose };
}

const SIZE_BYTES: number = 8 * MIB;
const SECRET = 0xa5;

async function connected(one: Rdma, other: Rdma): Promise<RdmaQueuePair> {
  const [here, there] = [await one.createQueuePair(), await other.createQueuePair()];
  await connectQueuePairs(here, there);
  return here;
}

const later = ({ machine }: CapturedMachine, delayNs: number): Promise<void> =>
  new Promise((resolve) => {
    machine.clock.schedule(delayNs, resolve);
  });

describe("RDMA regions at a function that may be reset", () => {
  it("is refused when it is pinned, and taken when it can be revoked or follows", async () => {
    using bench = await start();

    await expect(bench.near.register(bench.window)).rejects.toMatchObject({
      code: "NO_COMMON_TYPE",
      message: expect.stringContaining("NOT_REVOCABLE"),
    });
    await using revocable = await bench.near.register(bench.window, REVOCABLE);
    await using onDemand = await bench.near.register(bench.window, { flavour: "on-demand" });

    expect([revocable.negotiated.target, onDemand.negotiated.target]).toEqual(["device", "device"]);
  });

  it("is dead after a reset, says why, and refuses its own requests with EINVAL", async () => {
    using bench = await start();
    await using region = await bench.near.register(bench.window, REVOCABLE);
    await using target = await bench.far.register(bench.heap, FULL_ACCESS);
    const queuePair = await connected(bench.near, bench.far);
    const before = region.revoked;

    await bench.api.reset();
    bench.fill(new Uint8Array(SIZE_BYTES).fill(SECRET));

    expect(before).toBeUndefined();
    expect(region.revoked).toMatchObject({ code: "FUNCTION_RESET" });
    await expect(queuePair.write(region, target)).rejects.toMatchObject({
      code: "MAPPING_STALE",
      errno: "EINVAL",
      message: expect.stringContaining("FUNCTION_RESET"),
    });
    expectSameBytes(await bench.heap.read(0, SIZE_BYTES), new Uint8Array(SIZE_BYTES));
    expect(bench.framework.handles()).toMatchObject({ attachments: 2, mappings: 1 });
  });

  it.each(["read", "write"] as const)(
    "answers a %s from over the wire with a remote access error after a reset",
    async (way) => {
      using bench = await start();
      await using region = await bench.near.register(bench.window, REVOCABLE);
      await using other = await bench.far.register(bench.heap, FULL_ACCESS);
      const fromFar = await connected(bench.far, bench.near);
      await bench.heap.write(0, pattern(SIZE_BYTES));

      await bench.api.reset();
      const secret = new Uint8Array(SIZE_BYTES).fill(SECRET);
      bench.fill(secret);

      await expect(fromFar[way](other, region)).rejects.toThrow("remote access error (10)");
      expectSameBytes(bench.memory(), secret);
      expectSameBytes(await bench.heap.read(0, SIZE_BYTES), pattern(SIZE_BYTES));
    },
  );

  it("reads no byte of the memory as it is after a reset in the middle of a transfer", async () => {
    const secret = new Uint8Array(SIZE_BYTES).fill(SECRET);
    using bench = await start((card) => card.inspect().memory?.write(0, secret));
    const bytes = pattern(SIZE_BYTES, 3).map((byte) => (byte === SECRET ? 0 : byte));
    bench.fill(bytes);
    await using region = await bench.near.register(bench.window, REVOCABLE);
    await using target = await bench.far.register(bench.heap, FULL_ACCESS);
    const queuePair = await connected(bench.near, bench.far);
    const outcome = expect(queuePair.write(region, target)).rejects.toThrow(
      "local protection error (4)",
    );
    await later(bench, 10_000_000); // The captured link, 2.5 GT/s with one lane, carries 0.2 GB/s.

    await bench.api.reset();

    await outcome;
    const arrived = await bench.heap.read(0, SIZE_BYTES);
    const sentBytes = arrived.findLastIndex((byte) => byte !== 0) + 1;
    expect(sentBytes).toBeGreaterThan(MIB);
    expect(sentBytes).toBeLessThan(4 * MIB);
    expectSameBytes(arrived.subarray(0, sentBytes), bytes.subarray(0, sentBytes));
  });

  it.each(["read", "write"] as const)(
    "writes no byte into the memory after a reset in the middle of a %s",
    async (way) => {
      using bench = await start();
      await using region = await bench.near.register(bench.window, REVOCABLE);
      await using other = await bench.far.register(bench.heap, FULL_ACCESS);
      await bench.heap.write(0, pattern(SIZE_BYTES, 4));
      const queuePair = await connected(bench.near, bench.far);
      const fromFar = await connected(bench.far, bench.near);
      const writing = way === "read" ? queuePair.read(region, other) : fromFar.write(other, region);
      const outcome = expect(writing).rejects.toThrow(/(local protection|remote access) error/);
      await later(bench, 10_000_000); // The captured link, 2.5 GT/s with one lane, carries 0.2 GB/s.
      const before = bench.memory().findLastIndex((byte) => byte !== 0);

      await bench.api.reset();
      await outcome;

      expect(before).toBeGreaterThan(MIB);
      expectSameBytes(bench.memory(), new Uint8Array(SIZE_BYTES));
    },
  );

  it("is not registered when the reset comes in the middle of that", async () => {
    using bench = await start();
    const outcome = expect(bench.near.register(bench.window, REVOCABLE)).rejects.toMatchObject({
      code: "MAPPING_STALE",
      errno: "EINVAL",
    });
    await later(bench, 5_500);
    const during = bench.framework.handles().mappings;

    await bench.api.reset();

    await outcome;
    expect(during).toBe(1);
    expect(bench.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
  });

  it("can be registered anew after a reset", async () => {
    using bench = await start();
    const dead = await bench.near.register(bench.window, REVOCABLE);
    await bench.api.reset();
    await dead.deregister();
    bench.fill(pattern(SIZE_BYTES, 5));

    await using region = await bench.near.register(bench.window, REVOCABLE);
    await using target = await bench.far.register(bench.heap, FULL_ACCESS);
    const queuePair = await connected(bench.near, bench.far);
    await queuePair.write(region, target);

    expect(region.revoked).toBeUndefined();
    expectSameBytes(await bench.heap.read(0, SIZE_BYTES), pattern(SIZE_BYTES, 5));
  });

  it("on demand, fails while the memory is away and says why; then goes on with what is there", async () => {
    using bench = await start();
    await using region = await bench.near.register(bench.window, { flavour: "on-demand" });
    await using target = await bench.far.register(bench.heap, FULL_ACCESS);
    const early = await connected(bench.near, bench.far);
    await bench.api.disableMemory();

    await expect(early.write(region, target)).rejects.toThrow(
      /local QP operation error \(2\): .*MEMORY_DISABLED/,
    );
    const { pageError } = region;
    bench.api.enableMemory();
    bench.fill(pattern(SIZE_BYTES, 6));
    const queuePair = await connected(bench.near, bench.far);
    await queuePair.write(region, target);

    expect(pageError).toMatchObject({ code: "DEVICE_GONE" });
    expect(region.pageError).toBeUndefined();
    expectSameBytes(await bench.heap.read(0, SIZE_BYTES), pattern(SIZE_BYTES, 6));
  });
});

describe.each(["pinned", "revocable"] as const)(
  "RDMA region, %s, where memory would move",
  (flavour) => {
    it("stays in VRAM when others need the place, and still arrives", async () => {
      using server = startServer({ vramBytes: 16 * MIB });
      const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
      const card = server.framework.openExporter(gpu, GPU, undefined);
      using source = card.allocate(8 * MIB);
      using target = server.framework
        .openExporter(systemHeap, undefined, undefined)
        .allocate(8 * MIB);
      const bytes = pattern(8 * MIB);
      await source.write(0, bytes);
      await using local = await near.api.register(source, { flavour });
      await using remote = await near.api.register(target, { ...FULL_ACCESS, flavour });
      const queuePair = await connected(near.api, near.api);

      const sending = queuePair.write(local, remote);
      expect(() => card.allocate(12 * MIB)).toThrow(
        expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
      );
      await sending;

      expectSameBytes(await target.read(0, 8 * MIB), bytes);
      expect(local.mappings).toMatchObject([{ type: "p2p", target: "device", route: "bus-addr" }]);
    });

    it("refuses whoever needs the buffer in system memory", async () => {
      using server = startServer();
      const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
      const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
      using buffer = server.framework.openExporter(gpu, GPU, undefined).allocate(MIB);
      await using region = await near.api.register(buffer, { flavour });

      await expect(far.api.register(buffer, { flavour: "on-demand" })).rejects.toMatchObject({
        code: "MAP_DECLINED",
        message: expect.stringContaining("PINNED_IN_VRAM"),
      });
      expect(region.negotiated.target).toBe("device");
    });

    it("is named as the one that pins the buffer", async () => {
      using server = startServer();
      const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
      const { allocate, api } = server.framework.openExporter(wanderer, undefined, undefined);
      using buffer = allocate(MIB);
      await using region = await near.api.register(buffer, { flavour });

      expect(() => api.move()).toThrow(
        expect.objectContaining({
          code: "BUFFER_PINNED",
          message: expect.stringContaining(`rdma@${NEAR_NIC}`),
        }),
      );
      await region.deregister();
      expect(() => api.move()).not.toThrow();
      expectSameBytes(await buffer.read(0, MIB), new Uint8Array(MIB));
    });
  },
);
