import { gpu } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import { createGpu, createNvmeController } from "@peerbuf/machine";
import { expect, it } from "vitest";
import { startCaptured } from "../../importers/test/captured-machine.ts";
import {
  bytesIn,
  expectSameBytes,
  GPU,
  MIB,
  NEAR_DRIVE,
  pattern,
} from "../../importers/test/server-machine.ts";

it("the GPU driver widens a resizable BAR, so that peers reach all of it", async () => {
  const card = createGpu({ vramBytes: 16 * MIB, windowBytes: MIB });
  const drive = createNvmeController({ capacityBytes: 16 * MIB });
  using bench = await startCaptured("server-05", { [GPU]: card, [NEAR_DRIVE]: drive });
  const bytes = pattern(MIB);
  drive.inspect().namespace.write(0, bytes);
  const exporter = bench.framework.openExporter(gpu, GPU, undefined);
  const importer = bench.framework.openImporter(nvme, NEAR_DRIVE, { peerToPeer: "require" });
  using below = exporter.allocate(8 * MIB);
  using above = exporter.allocate(MIB);

  const { negotiated } = await importer.api.read(above, { lba: 0 });

  expect(exporter.api.visibleBytes).toBe(16 * MIB);
  expect(below.sizeBytes).toBe(8 * MIB);
  expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "bus-addr" });
  expectSameBytes(bytesIn(card.inspect().vram, 8 * MIB, MIB), bytes);
});
