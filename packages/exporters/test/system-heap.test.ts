import { systemHeap } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import { describe, expect, it } from "vitest";
import {
  bytesIn,
  expectSameBytes,
  NEAR_DRIVE,
  pattern,
  startServer,
} from "../../importers/test/server-machine.ts";

describe("system heap", () => {
  it("gives zeroed memory that the CPU can write and read, wherever its pages lie", async () => {
    using server = startServer({ machine: { pagePlacement: "scattered" } });
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    using buffer = heap.allocate(5 * 4096);
    const expected = new Uint8Array(5 * 4096);
    expectSameBytes(await buffer.read(0, expected.length), expected);

    for (const [offset, length] of [
      [4000, 200],
      [8192, 4096],
      [20_479, 1],
      [1, 20_000],
    ] as const) {
      const bytes = pattern(length, offset);
      await buffer.write(offset, bytes);
      expected.set(bytes, offset);
    }

    expectSameBytes(await buffer.read(0, expected.length), expected);
    expectSameBytes(await buffer.read(4099, 9000), expected.subarray(4099, 13_099));
  });

  // What tools/testing/selftests/dmabuf-heaps checks, as far as it needs no real descriptor or ioctl.

  it("dmabuf-heaps: allocate, import into a device, and bracket CPU access around it", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = heap.allocate(4096);
    const bytes = pattern(4096);
    {
      await using access = await buffer.beginCpuAccess("write");
      await access.write(0, bytes);
    }

    await drive.api.write(buffer, { lba: 0 });

    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, 4096), bytes);
  });

  it("dmabuf-heaps: memory is zero when it is allocated, even after others left it dirty", async () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    const dirty = Array.from({ length: 8 }, () => heap.allocate(4 * 4096));
    for (const buffer of dirty) {
      await buffer.write(0, new Uint8Array(4 * 4096).fill(0xab));
      buffer.close();
    }

    for (let count = 0; count < 8; count++) {
      using buffer = heap.allocate(4 * 4096);
      expectSameBytes(await buffer.read(0, 4 * 4096), new Uint8Array(4 * 4096));
    }
  });

  it("refuses a wish it does not know by name", () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);

    expect(() => heap.allocate(4096, { colour: "blue" })).toThrow(
      expect.objectContaining({
        code: "ARGUMENT_INVALID",
        message: expect.stringContaining('no option "colour"'),
      }),
    );
  });
});
