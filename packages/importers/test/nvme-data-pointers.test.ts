import { nvme } from "@peerbuf/importers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Pieces, ragged } from "./ragged.ts";
import {
  bytesIn,
  changeLink,
  expectSameBytes,
  MIB,
  NEAR_DRIVE,
  pattern,
  type Server,
  startServer,
} from "./server-machine.ts";

function openRagged(server: Server, pieces: Pieces) {
  const exporter = server.framework.openExporter(ragged, undefined, undefined);
  exporter.api.cut(pieces);
  return exporter;
}

/** Pieces of pages that begin on a page and end inside one, and the other way round. */
const ODD: Pieces = [
  [4096, 1],
  [3, 0],
  [5000, 3192],
];
const PAGES: Pieces = [[8192, 4096]];

describe("NVMe driver, data pointers", () => {
  it("tells whole pages by PRPs, wherever they lie", async () => {
    using server = startServer();
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = openRagged(server, PAGES).allocate(MIB);
    const bytes = pattern(MIB);
    await buffer.write(0, bytes);

    const { sglCount, commandCount } = await drive.api.write(buffer, { lba: 0 });

    expect([sglCount, commandCount]).toEqual([0, 2]);
    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, MIB), bytes);
  });

  it.each(["direct", "iommu", "pass-through"] as const)(
    "tells what PRPs cannot by SGLs, without a copy, and touches nothing between (%s)",
    async (dma) => {
      using server = startServer({ platform: { dma } });
      const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
      const exporter = openRagged(server, ODD);
      using buffer = exporter.allocate(MIB);
      const bytes = pattern(MIB, 4);
      server.nearDrive.inspect().namespace.write(0, bytes);

      const { sglCount, commandCount, negotiated } = await drive.api.read(buffer, { lba: 0 });

      expect(sglCount).toBe(commandCount);
      expect(negotiated).toMatchObject({ target: "system", copied: false });
      expectSameBytes(await buffer.read(0, MIB), bytes);
      expect(exporter.api.gapsAreIntact()).toBe(true);
      expect(server.platform.guardFaults).toBe(0);
    },
  );

  it("moves any blocks between any byte of a ragged buffer and the drive, as PRPs or as SGLs", async () => {
    using server = startServer({ drive: { mdts: 2 } });
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    const exporter = openRagged(server, PAGES);
    const media = server.nearDrive.inspect().namespace;
    const piece = fc.tuple(
      fc.oneof(fc.integer({ min: 1, max: 6000 }), fc.constantFrom(4096, 8192)),
      fc.oneof(fc.nat(5000), fc.constantFrom(0, 4096)),
    );
    const plan = fc.record({
      pieces: fc.array(piece, { minLength: 1, maxLength: 6 }),
      blocks: fc.integer({ min: 1, max: 60 }),
      offset: fc.nat(9000),
      seed: fc.nat(),
    });

    await fc.assert(
      fc.asyncProperty(plan, async ({ pieces, blocks, offset, seed }) => {
        const lengthBytes = 512 * blocks;
        exporter.api.cut(pieces);
        using buffer = exporter.allocate(65_536);
        const bytes = pattern(lengthBytes, seed);
        await buffer.write(offset, bytes);

        await drive.api.write(buffer, { lba: 9, offset, lengthBytes });
        await buffer.write(0, new Uint8Array(65_536));
        await drive.api.read(buffer, { lba: 9, offset, lengthBytes });

        expectSameBytes(bytesIn(media, 9 * 512, lengthBytes), bytes);
        const expected = new Uint8Array(65_536);
        expected.set(bytes, offset);
        expectSameBytes(await buffer.read(0, 65_536), expected);
        expect(exporter.api.gapsAreIntact()).toBe(true);
      }),
      { numRuns: 60 },
    );
    expect(server.platform.guardFaults).toBe(0);
  });

  it("cuts a command short where its list is full, down to one block of single bytes", async () => {
    using server = startServer();
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, undefined);
    using buffer = openRagged(server, [[1, 1]]).allocate(4096);
    const bytes = pattern(4096, 9);
    await buffer.write(0, bytes);

    const { commandCount } = await drive.api.write(buffer, { lba: 3 });

    expect(commandCount).toBe(8);
    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 3 * 512, 4096), bytes);
  });

  it("uses SGLs throughout when told to", async () => {
    using server = startServer();
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, { dataPointers: "sgl" });
    using buffer = openRagged(server, PAGES).allocate(MIB);
    const bytes = pattern(MIB, 5);
    await buffer.write(0, bytes);

    const { sglCount } = await drive.api.write(buffer, { lba: 0 });

    expect(sglCount).toBe(2);
    expectSameBytes(bytesIn(server.nearDrive.inspect().namespace, 0, MIB), bytes);
  });

  it("refuses ragged buffers when it is told to use PRPs only, and says why", async () => {
    using server = startServer();
    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, { dataPointers: "prp" });
    const exporter = openRagged(server, ODD);
    using beginsInside = exporter.allocate(MIB);
    exporter.api.cut([[4000, 96]]);
    using endsInside = exporter.allocate(MIB);

    for (const buffer of [beginsInside, endsInside]) {
      await expect(drive.api.write(buffer, { lba: 0 })).rejects.toMatchObject({
        code: "MAP_DECLINED",
        message: expect.stringMatching(/multiples of 4096|inside a page/),
      });
    }
    expect(server.framework.handles()).toMatchObject({ attachments: 0, mappings: 0 });
  });

  it("keeps to PRPs with a drive that takes no SGLs, and fails when told otherwise", async () => {
    using server = startServer();
    using _old = withoutSgls(server);
    const [plain, wants] = [undefined, { dataPointers: "sgl" } as const];
    using buffer = openRagged(server, PAGES).allocate(8192);

    const drive = server.framework.openImporter(nvme, NEAR_DRIVE, plain);
    const { sglCount } = await drive.api.write(buffer, { lba: 0 });
    await expect(drive.api.write(buffer, { lba: 0, offset: 2, lengthBytes: 512 })).rejects.toThrow(
      "at a multiple of 4",
    );
    drive.close();
    const other = server.framework.openImporter(nvme, NEAR_DRIVE, wants);

    expect(sglCount).toBe(0);
    await expect(other.api.write(buffer, { lba: 0 })).rejects.toMatchObject({
      code: "DEVICE_FAILED",
    });
  });
});

/** The drive's identity arrives with SGLS as 0: an older drive. */
function withoutSgls(server: Server): Disposable {
  const IDENTITY_BYTES = 4096;
  const changed = changeLink(server, NEAR_DRIVE, (port) => ({
    write(address, bytes, offset, lengthBytes) {
      if (lengthBytes !== IDENTITY_BYTES) {
        return port.write(address, bytes, offset, lengthBytes);
      }
      const older = bytes.slice(offset, offset + lengthBytes);
      older.fill(0, 536, 540);
      return port.write(address, older, 0, lengthBytes);
    },
  }));
  return { [Symbol.dispose]: () => changed.remove() };
}
