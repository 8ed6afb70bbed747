/**
 * Removed at any time: cards pulled out or reset at any moment of a whole course of sharing.
 *
 * The course is the same each time: VRAM is filled, a drive reads it, a NIC sends it to another, the buffer
 * moves to system memory, the drive writes it. What is left of it after the loss comes to its end, with an error of the
 * framework or without one, and nothing stays out: `startServer` looks at that.
 */
import { type DmaBuf, PeerbufError } from "@peerbuf/core";
import { gpu, systemHeap } from "@peerbuf/exporters";
import { nvme, type Rdma, rdma } from "@peerbuf/importers";
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  FAR_NIC,
  GPU,
  MIB,
  NEAR_DRIVE,
  NEAR_NIC,
  type Server,
  startServer,
  systemImporter,
} from "../packages/importers/test/server-machine.ts";

const BYTES = MIB / 8;
/** Virtual time of the undisturbed course, over links as captured. */
const COURSE_NS = 5_000_000;

/** Fails with what it was refused or lost. */
async function send(from: Rdma, to: Rdma, source: DmaBuf, target: DmaBuf): Promise<void> {
  await using local = await from.register(source);
  await using remote = await to.register(target, { remoteWrite: true });
  const one = await from.createQueuePair();
  try {
    const other = await to.createQueuePair();
    try {
      await one.connect(other.address);
      await other.connect(one.address);
      await one.write(local, remote);
    } finally {
      await other.close();
    }
  } finally {
    await one.close();
  }
}

/** Step by step, whatever became of the steps before. Returns what they failed with. */
async function course(server: Server): Promise<unknown[]> {
  const { framework } = server;
  const errors: unknown[] = [];
  const step = (work: () => Promise<unknown>): Promise<void> =>
    work().then(
      () => undefined,
      (error: unknown) => void errors.push(error),
    );
  const card = framework.openExporter(gpu, GPU, undefined);
  const heap = framework.openExporter(systemHeap, undefined, undefined);
  const drive = framework.openImporter(nvme, NEAR_DRIVE, undefined);
  const near = framework.openImporter(rdma, NEAR_NIC, undefined);
  const far = framework.openImporter(rdma, FAR_NIC, undefined);
  using buffer = card.allocate(BYTES);
  using arrived = heap.allocate(BYTES);
  await step(() => buffer.write(0, new Uint8Array(BYTES).fill(0x5a)));
  await step(() => drive.api.write(buffer, { lba: 0 }));
  await step(() => send(near.api, far.api, buffer, arrived));
  await step(async () => {
    using attachment = buffer.attach(systemImporter(server, NEAR_DRIVE));
    using mapping = attachment.map("to-device");
    await mapping.ready?.signaled();
  });
  await step(() => drive.api.read(buffer, { lba: 0 }));
  await step(() => drive.api.flush());
  return errors;
}

it("undisturbed, the course has no error and takes as long as it is disturbed below", async () => {
  using server = startServer();

  expect(await course(server)).toEqual([]);
  expect(server.machine.clock.nowNs).toBeGreaterThan(COURSE_NS / 2);
  expect(server.machine.clock.nowNs).toBeLessThan(COURSE_NS * 2);
});

it("whoever is lost, and when: the course comes to its end, with errors of the framework, and nothing stays out", async () => {
  let hurt = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("direct" as const, "iommu" as const, "iommu-lazy" as const),
      fc.constantFrom("surpriseRemove" as const, "resetFunction" as const),
      fc.constantFrom(GPU, NEAR_DRIVE, NEAR_NIC, FAR_NIC),
      fc.integer({ min: 0, max: COURSE_NS }),
      async (dma, loss, who, atNs) => {
        using server = startServer({ platform: { dma } });
        server.machine.clock.schedule(atNs, () => server.machine[loss](who));

        const errors = await course(server);

        hurt += errors.length > 0 ? 1 : 0;
        expect(errors.filter((error) => !(error instanceof PeerbufError))).toEqual([]);
        expect(server.machine.failures.recent()).toEqual([]);
        await server.framework.idle().catch(() => undefined);
      },
    ),
    { numRuns: 24 },
  );
  expect(hurt).toBeGreaterThan(5);
}, 60_000);
