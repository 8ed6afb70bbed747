/** Drives and buffers whose mapping has no pages for direct I/O: memory of the driver's own, on the record. */
import { createHash } from "node:crypto";
import { createFramework, describeDecision, NegotiationError } from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import {
  BlockDevice,
  createLinuxPlatform,
  dmaBufExporter,
  dmaHeap,
  driveImporter,
  kernelJudge,
  sharedMemory,
} from "@peerbuf/linux";
import { expect, it } from "vitest";
import { openDescriptors } from "../abi/kernel-view.ts";

const BYTES = 128 * 1024;
const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");
const pattern = Uint8Array.from({ length: BYTES }, (_, at) => (at * 7 + (at >> 9)) & 0xff);

it("a dma-heap buffer goes to a drive and comes back through memory of the driver's own", async () => {
  const drive = await BlockDevice.open("/dev/nvme1n1");
  using platform = createLinuxPlatform();
  using framework = createFramework({ platform, judge: kernelJudge });
  using heap = dmaHeap("system", BYTES);
  heap.withBytesSync("write", (bytes) => bytes.set(pattern));
  const exporter = framework.openExporter(dmaBufExporter, undefined, undefined);
  const api = framework.openImporter(driveImporter, drive.bdf ?? "", { drive }).api;
  using buffer = exporter.allocate(BYTES, { fd: heap.descriptor.number });

  const written = await api.write(buffer, 0);
  heap.withBytesSync("write", (bytes) => bytes.fill(0));
  const read = await api.read(buffer, 0);

  const record = written.decisions.map(describeDecision).join("\n");
  expect(record).toMatch(/no direct I\/O into this buffer.*EFAULT[\s\S]*COPIED_OUT/);
  expect(read.decisions.map(({ reason }) => reason.code)).toContain("COPIED_BACK");
  expect(heap.withBytesSync("read", hash)).toBe(hash(pattern));
  using check = sharedMemory(BYTES);
  await drive.read(check, { position: 0 });
  expect(check.withBytesSync("read", hash)).toBe(hash(pattern));
  await drive.close();
});

it("a heap without a copy engine is refused with everybody's reasons, and nothing is held", async () => {
  const drive = await BlockDevice.open("/dev/nvme1n1");
  const before = openDescriptors();
  const platform = createLinuxPlatform({ memory: "dma-heap" });
  const framework = createFramework({ platform, judge: kernelJudge });
  const heap = framework.openExporter(systemHeap, undefined, undefined);
  const api = framework.openImporter(driveImporter, drive.bdf ?? "", { drive }).api;
  const buffer = heap.allocate(BYTES);
  const error = await api.write(buffer, 0).catch((refused: unknown) => refused);
  expect(error).toBeInstanceOf(NegotiationError);
  expect((error as NegotiationError).message).toMatch(/NO_COPY_ENGINE/);
  buffer.close();
  framework.close();
  platform.close();
  expect(openDescriptors()).toBe(before);
  await drive.close();
});
