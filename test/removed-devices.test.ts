/**
 * Removed devices: cards pulled out while buffers are attached, mapped and on the move.
 *
 * Shipped drivers on the modelled server. Nobody tells them: they find registers of all ones and commands
 * unanswered. Whatever they were at has to end with an error that names the device; afterwards everything
 * can be given back, which `startServer` checks to the last page and mapping.
 */
import type { DmaBuf, OpenedExporter } from "@peerbuf/core";
import { type Gpu, gpu, systemHeap } from "@peerbuf/exporters";
import { gpuPeer, type Nvme, nvme, rdma } from "@peerbuf/importers";
import type { DmaPlatform } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import {
  expectSameBytes,
  FAR_NIC,
  GPU,
  after as later,
  MIB,
  NEAR_DRIVE,
  NEAR_NIC,
  pattern,
  type Server,
  startServer,
  systemImporter,
} from "../packages/importers/test/server-machine.ts";

const PLATFORMS: readonly DmaPlatform[] = ["direct", "iommu"];
/** Long enough for a transfer to have begun, short enough for it not to be over. */
const UNDER_WAY_NS = 20_000;

const openCard = ({ framework }: Server): OpenedExporter<Gpu> =>
  framework.openExporter(gpu, GPU, undefined);

const openDrive = ({ framework }: Server): { readonly api: Nvme; close(): void } =>
  framework.openImporter(nvme, NEAR_DRIVE, undefined);

/** The error names the device and is one of those that a removal may end with. */
const naming = (bdf: string) =>
  expect.objectContaining({
    name: "PeerbufError",
    code: expect.stringMatching(/^(DEVICE_GONE|DEVICE_FAILED|FENCE_FAILED)$/),
    message: expect.stringContaining(bdf),
  });

async function filled(buffer: DmaBuf): Promise<Uint8Array> {
  const bytes = pattern(buffer.sizeBytes);
  await buffer.write(0, bytes);
  return bytes;
}

describe.each(PLATFORMS)("on platform %s", (dma) => {
  const start = (): Server => startServer({ platform: { dma } });

  it.each(["surpriseRemove", "resetFunction"] as const)(
    "a drive lost in the middle of a transfer (%s): the transfer ends, and so does every later one",
    async (loss) => {
      using server = start();
      using buffer = openCard(server).allocate(4 * MIB);
      await filled(buffer);
      const drive = openDrive(server);
      await drive.api.identity();

      const running = drive.api.write(buffer, { lba: 0 });
      const ended = expect(running).rejects.toEqual(naming(NEAR_DRIVE));
      await later(server, UNDER_WAY_NS);
      server.machine[loss](NEAR_DRIVE);

      await ended;
      await expect(drive.api.read(buffer, { lba: 0 })).rejects.toEqual(naming(NEAR_DRIVE));
      await expect(drive.api.flush()).rejects.toEqual(naming(NEAR_DRIVE));
      expect(server.framework.handles()).toMatchObject({ attachments: 0, mappings: 0, pins: 0 });
      drive.close();
    },
  );

  it("an exporter's card lost under a drive's transfer: the drive says so, and the buffer can be closed", async () => {
    using server = start();
    using buffer = openCard(server).allocate(4 * MIB);
    await filled(buffer);
    const drive = openDrive(server);
    await drive.api.identity();

    const running = drive.api.write(buffer, { lba: 0 });
    const ended = expect(running).rejects.toEqual(naming(NEAR_DRIVE));
    await later(server, UNDER_WAY_NS);
    server.machine.surpriseRemove(GPU);

    await ended;
    expect(server.machine.inspect.recentFaults()).toContainEqual(
      expect.objectContaining({ requester: NEAR_DRIVE, reason: "LINK_DOWN" }),
    );
    // The drive itself is well.
    using other = server.framework.openExporter(systemHeap, undefined, undefined).allocate(MIB);
    await drive.api.read(other, { lba: 0 });
  });

  it("CPU access to a buffer whose card is gone ends with the card's name, and does not hang", async () => {
    using server = start();
    using buffer = openCard(server).allocate(MIB);
    await filled(buffer);
    server.machine.surpriseRemove(GPU);

    await expect(buffer.read(0, 4096)).rejects.toEqual(naming(GPU));
  });

  it("a mapping that is held over the loss of its exporter is unmapped and detached as ever", async () => {
    using server = start();
    using buffer = openCard(server).allocate(MIB);
    await filled(buffer);
    using attachment = buffer.attach(systemImporter(server, NEAR_DRIVE));
    using mapping = attachment.map("to-device");

    server.machine.surpriseRemove(GPU);

    expect(mapping.target).toBe("system");
    expect(server.framework.handles()).toMatchObject({ attachments: 1, mappings: 1 });
  });

  it("a mapping made after the loss waits for bytes that cannot come, and is told so", async () => {
    using server = start();
    using buffer = openCard(server).allocate(MIB);
    await filled(buffer);
    server.machine.surpriseRemove(GPU);
    using attachment = buffer.attach(systemImporter(server, NEAR_DRIVE));

    using mapping = attachment.map("to-device");
    const error = await mapping.ready?.signaled();

    expect(error?.message).toContain(GPU);
    await expect(buffer.read(0, 4096)).rejects.toEqual(naming(GPU));
  });

  it("a GPU that fetched from another one and was pulled out ends its copies", async () => {
    using server = startServer({ platform: { dma } });
    const peer = server.framework.openImporter(gpuPeer, GPU, undefined);
    using buffer = server.framework
      .openExporter(systemHeap, undefined, undefined)
      .allocate(4 * MIB);
    await filled(buffer);
    using imported = peer.api.import(buffer);

    const running = imported.fetch({ deviceOffset: 0 });
    const ended = expect(running).rejects.toEqual(naming(GPU));
    await later(server, 1000);
    server.machine.surpriseRemove(GPU);

    await ended;
  });

  it("whoever writes over the wire to a NIC that is gone is told by its own NIC", async () => {
    using server = start();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    using source = heap.allocate(MIB);
    using target = heap.allocate(MIB);
    await using local = await far.api.register(source);
    await using remote = await near.api.register(target, { remoteWrite: true });
    const one = await far.api.createQueuePair();
    const other = await near.api.createQueuePair();
    await one.connect(other.address);
    await other.connect(one.address);
    server.machine.surpriseRemove(NEAR_NIC);

    await expect(one.write(local, remote)).rejects.toEqual(naming(FAR_NIC));
    await Promise.allSettled([one.close(), other.close()]);
  });

  it("a NIC lost under a write over the wire: both ends come to an end and let go", async () => {
    using server = start();
    const near = server.framework.openImporter(rdma, NEAR_NIC, undefined);
    const far = server.framework.openImporter(rdma, FAR_NIC, undefined);
    using source = openCard(server).allocate(4 * MIB);
    using target = server.framework
      .openExporter(systemHeap, undefined, undefined)
      .allocate(4 * MIB);
    await filled(source);
    await using local = await near.api.register(source);
    await using remote = await far.api.register(target, { remoteWrite: true });
    const one = await near.api.createQueuePair();
    const other = await far.api.createQueuePair();
    await one.connect(other.address);
    await other.connect(one.address);

    const running = one.write(local, remote);
    const ended = expect(running).rejects.toEqual(naming(NEAR_NIC));
    await later(server, UNDER_WAY_NS);
    server.machine.surpriseRemove(NEAR_NIC);

    await ended;
    await Promise.allSettled([one.close(), other.close()]);
    await expect(near.api.createQueuePair()).rejects.toEqual(naming(NEAR_NIC));
    await (await far.api.createQueuePair()).close();
  });

  it("put back and opened again, it works as on the first day", async () => {
    using server = start();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    using buffer = heap.allocate(MIB);
    const bytes = await filled(buffer);
    const first = openDrive(server);
    await first.api.identity();
    server.machine.surpriseRemove(NEAR_DRIVE);
    await expect(first.api.write(buffer, { lba: 0 })).rejects.toEqual(naming(NEAR_DRIVE));
    first.close();

    expect(() => openDrive(server)).toThrow(naming(NEAR_DRIVE));
    server.machine.insert(NEAR_DRIVE);
    const again = openDrive(server);
    await again.api.write(buffer, { lba: 0 });
    await buffer.write(0, new Uint8Array(MIB));
    await again.api.read(buffer, { lba: 0 });

    expectSameBytes(await buffer.read(0, MIB), bytes);
    again.close();
    server.machine.remove(NEAR_DRIVE);
  });

  it("the framework closes over a lost exporter with everything still held, and names what was held", () => {
    const server = start();
    const buffer = openCard(server).allocate(MIB);
    buffer.attach(systemImporter(server, NEAR_DRIVE)).map("bidirectional");
    server.machine.surpriseRemove(GPU);

    expect(() => server.framework.close()).toThrow(
      expect.objectContaining({
        code: "HANDLE_LEAKED",
        message: expect.stringContaining(buffer.name),
      }),
    );
    expect(server.machine.handles()).toMatchObject({ mappings: 0, coherent: 0, hostPages: 0 });
  });
});
