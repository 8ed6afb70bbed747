/** Drives and buffers whose mapping has no pages for direct I/O: memory of the driver's own, on the record. */
import { createHash } from "node:crypto";
import { createFramework, describeDecision } from "@peerbuf/core";
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
import { expect, it, onTestFinished } from "vitest";
import { openDescriptors } from "../abi/kernel-view.ts";

const BYTES = 128 * 1024;
const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");
const pattern = Uint8Array.from({ length: BYTES }, (_, at) => (at * 7 + (at >> 9)) & 0xff);

it("a dma-heap buffer goes to a drive and comes back through memory of the driver's own", async () => {
  const drive = await BlockDevice.open("/dev/nvme1n1");
  onTestFinished(() => drive.close());
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
});

it("core's heap over a dma-heap, which the platform copies, goes the same way and leaves nothing", async () => {
  const drive = await BlockDevice.open("/dev/nvme1n1");
  onTestFinished(() => drive.close());
  const before = openDescriptors();
  const platform = createLinuxPlatform({ memory: "dma-heap" });
  const framework = createFramework({ platform, judge: kernelJudge });
  const heap = framework.openExporter(systemHeap, undefined, undefined);
  const api = framework.openImporter(driveImporter, drive.bdf ?? "", { drive }).api;
  const buffer = heap.allocate(BYTES);
  await buffer.write(0, pattern);
  const { target, decisions } = await api.write(buffer, 1 << 20);
  expect(target).toBe("system");
  expect(decisions.map(({ reason }) => reason.code)).toEqual(
    expect.arrayContaining(["KERNEL_EFAULT", "COPIED_OUT"]),
  );
  buffer.close();
  framework.close();
  platform.close();
  expect(openDescriptors()).toBe(before);
  using check = sharedMemory(BYTES);
  await drive.read(check, { position: 1 << 20 });
  expect(check.withBytesSync("read", hash)).toBe(hash(pattern));
});
