/** Core's contract on the real kernel: the common scenarios, and devices whose kernel drivers attach. */
import { createFramework } from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import {
  createLinuxPlatform,
  DrmDevice,
  dmaBufExporter,
  drmNodes,
  kernelImporter,
  kernelJudge,
  type MemorySource,
  udmabuf,
} from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { type Ground, platformScenarios } from "../../platform/platform-scenarios.ts";
import { hasSystemHeap } from "./any-dma-buf.ts";

function nodeOf(driver: string): string {
  for (const path of drmNodes()) {
    using device = new DrmDevice(path);
    if (device.driverName === driver) {
      return path;
    }
  }
  throw new Error(`no DRM node of ${driver}`);
}

function ground(memory: MemorySource): Ground {
  const platform = createLinuxPlatform({ memory });
  const taken = (): number => {
    const { mappings, hostAllocations } = platform.handles();
    return mappings + hostAllocations;
  };
  const close = (): void => platform.close();
  return { platform, judge: kernelJudge, deviceId: "process", taken, close };
}

describe.skipIf(!hasSystemHeap)("on dma-heap buffers", () =>
  platformScenarios(() => ground("dma-heap")),
);
describe("on udmabufs", () => platformScenarios(() => ground("udmabuf")));

describe("a buffer mapped for vgem", () => {
  it("is attached by its kernel driver, and let go at unmap", async () => {
    const path = nodeOf("vgem");
    using platform = createLinuxPlatform({ drm: [path] });
    using framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const gpu = framework.openImporter(kernelImporter, path, undefined).api;
    using buffer = heap.allocate(65536);
    await buffer.write(
      0,
      Uint8Array.from({ length: 65536 }, (_, at) => at & 0xff),
    );

    using attachment = buffer.attach(gpu.importer);
    const mapping = attachment.map("bidirectional");

    expect(gpu.handlesOf(mapping)[0]).toBeGreaterThan(0);
    expect(mapping.target).toBe("system");
    expect((await buffer.read(4096, 2))[1]).toBe(1);
    expect(platform.handles().mappings).toBe(1);
    mapping.unmap();
    expect(platform.handles().mappings).toBe(0);
  });
});

describe("a device whose kernel driver imports no foreign buffer (virtio_gpu on 6.12)", () => {
  it("is refused with the kernel's errno, on the record, and holds nothing", () => {
    const path = nodeOf("virtio_gpu");
    using platform = createLinuxPlatform({ drm: [path] });
    using framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const gpu = framework.openImporter(kernelImporter, path, undefined).api;
    using buffer = heap.allocate(4096);
    using attachment = buffer.attach(gpu.importer);

    expect(() => attachment.map("to-device")).toThrow(/the kernel declines.*ENODEV/);
    expect(attachment.decisions.at(-1)?.reason.code).toBe("KERNEL_ENODEV");
    expect(platform.handles().mappings).toBe(0);
  });
});

describe("a dma-buf of somebody else", () => {
  it("takes part in the negotiation by its descriptor", async () => {
    const path = nodeOf("vgem");
    using platform = createLinuxPlatform({ drm: [path] });
    using framework = createFramework({ platform, judge: kernelJudge });
    using foreign = udmabuf(8192);
    foreign.withBytesSync("write", (bytes) => bytes.fill(0x33));
    const exporter = framework.openExporter(dmaBufExporter, undefined, undefined);
    const gpu = framework.openImporter(kernelImporter, path, undefined).api;
    using buffer = exporter.allocate(8192, { fd: foreign.descriptor.number });
    using attachment = buffer.attach(gpu.importer);
    using mapping = attachment.map("to-device");
    expect(gpu.handlesOf(mapping).length).toBe(1);
    expect((await buffer.read(0, 1))[0]).toBe(0x33);
    const wrong = (): unknown => exporter.allocate(4096, { fd: foreign.descriptor.number });
    expect(wrong).toThrow(/not 4096/);
  });
});
