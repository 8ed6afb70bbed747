/** VRAM under pressure: who leaves, who stays, and what their importers see of it. */
import { DMA, type DmaBuf, type Importer, P2P } from "@peerbuf/core";
import { type Gpu, gpu } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import { describe, expect, it } from "vitest";
import {
  bytesIn,
  expectSameBytes,
  GPU,
  MIB,
  NEAR_DRIVE,
  NEAR_NIC,
  pattern,
  type Server,
  startServer,
} from "../packages/importers/test/server-machine.ts";

/** The window shows 16 MiB, and this is all the VRAM there is: four buffers of 4 MiB fill it. */
function crowdedGpu(server: Server) {
  return server.framework.openExporter(gpu, GPU, undefined);
}

const VRAM = { vramBytes: 16 * MIB };
const freeVisible = (api: Gpu): number => api.freeBytes("visible");

/** An importer that follows moves and says so. */
function follower(server: Server, told: string[] = []): Importer {
  return {
    name: "follower",
    device: server.framework.platform.device(NEAR_NIC),
    offer: () => ({ answer: "offer", types: [{ type: P2P }, { type: DMA }] }),
    invalidateMappings: ({ buffer }) => void told.push(buffer.name),
  };
}

describe("a GPU whose VRAM is full", () => {
  it("evicts the buffer that was not used for longest, and keeps its bytes", async () => {
    using server = startServer(VRAM);
    const { allocate, api } = crowdedGpu(server);
    const buffers: DmaBuf[] = [];
    const contents = [1, 2, 3, 4].map((seed) => pattern(4 * MIB, seed));
    for (const [index, bytes] of contents.entries()) {
      const buffer = allocate(4 * MIB, { name: `buffer-${index}` });
      await buffer.write(0, bytes);
      buffers.push(buffer);
    }
    expect(freeVisible(api)).toBe(0);

    using newcomer = allocate(4 * MIB, { name: "newcomer" });

    expectSameBytes(await (buffers[0] as DmaBuf).read(0, 4 * MIB), contents[0] as Uint8Array);
    expectSameBytes(await newcomer.read(0, 4 * MIB), new Uint8Array(4 * MIB));
    using attachment = (buffers[0] as DmaBuf).attach(follower(server));
    using mapping = attachment.map("to-device");
    expect(mapping.target).toBe("system");
    mapping.unmap();
    attachment.detach();
    for (const buffer of buffers) {
      buffer.close();
    }
    newcomer.close();
    await newcomer.reservation.idle("bookkeep");
  });

  it("spares who was mapped a moment ago", async () => {
    using server = startServer(VRAM);
    const { allocate } = crowdedGpu(server);
    using first = allocate(8 * MIB, { name: "first" });
    using second = allocate(8 * MIB, { name: "second" });
    using attachment = first.attach(follower(server));
    attachment.map("to-device").unmap();

    using newcomer = allocate(8 * MIB, { name: "newcomer" });

    using other = second.attach(follower(server));
    using evicted = other.map("to-device");
    using stayed = attachment.map("to-device");
    expect([stayed.target, evicted.target]).toEqual(["device", "system"]);
    await evicted.ready?.signaled();
    await newcomer.read(0, 1);
  });

  it("tells importers that follow moves, and puts the reason on their record", async () => {
    using server = startServer(VRAM);
    const { allocate } = crowdedGpu(server);
    using victim = allocate(16 * MIB, { name: "victim" });
    const told: string[] = [];
    using attachment = victim.attach(follower(server, told));
    const mapping = attachment.map("to-device");

    using newcomer = allocate(MIB, { name: "newcomer" });

    expect(told).toEqual(["victim"]);
    expect(mapping.isStale).toBe(true);
    expect(attachment.decisions.at(-1)).toMatchObject({
      stage: "move",
      reason: { code: "EVICTED" },
    });
    mapping.unmap();
    await newcomer.read(0, 1);
    await victim.read(0, 1);
  });

  it("does not evict what is pinned: a new buffer is refused with the numbers", () => {
    using server = startServer(VRAM);
    const { allocate } = crowdedGpu(server);
    using pinned = allocate(16 * MIB, { name: "pinned" });
    using attachment = pinned.attach(follower(server));
    attachment.pin();

    expect(() => allocate(MIB)).toThrow(
      expect.objectContaining({
        code: "MEMORY_EXHAUSTED",
        message: expect.stringContaining("0 of 16777216 are free"),
      }),
    );
    attachment.unpin();
  });

  it("gives a place on only when a drive that still reads it is done", async () => {
    using server = startServer(VRAM);
    const { allocate } = crowdedGpu(server);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    await drive.api.identity();
    using busy = allocate(16 * MIB, { name: "busy" });
    const bytes = pattern(16 * MIB);
    await busy.write(0, bytes);

    const writing = drive.api.write(busy, { lba: 0 });
    using newcomer = allocate(8 * MIB, { name: "newcomer", fill: 0xdead_beef });
    await writing;

    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, 16 * MIB), bytes);
    expect([...(await newcomer.read(0, 4))]).toEqual([0xef, 0xbe, 0xad, 0xde]);
  });
});
