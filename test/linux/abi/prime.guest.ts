/** Buffers on DRM devices (PRIME): aliasing, lifetimes, leaks, and what the platform makes of lost devices. */
import { createFramework } from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import {
  attachVgemFence,
  createLinuxPlatform,
  DrmDevice,
  drmNodes,
  kernelImporter,
  kernelJudge,
  sharedMemory,
  signalVgemFence,
  udmabuf,
} from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { ANY_EXPORTER, anyDmaBuf } from "./any-dma-buf.ts";
import { openDescriptors as fds, knownAs, knownBuffers, refusal } from "./kernel-view.ts";

function nodeOf(driver: string): string {
  for (const path of drmNodes()) {
    using device = new DrmDevice(path);
    if (device.driverName === driver) {
      return path;
    }
  }
  throw new Error(`no DRM node of ${driver}`);
}

/** dma-bufs of an exporter that the kernel knows of. */
const buffersOf = (exporter: string): number =>
  knownBuffers().filter(({ exporterName }) => exporterName === exporter).length;

/** Attachments of devices to buffers, on the whole machine. */
const attached = (): number =>
  knownBuffers().reduce((count, { attached: devices }) => count + devices.length, 0);

describe("a handle of a DRM device", () => {
  it("is the same for the same buffer, however often and by whichever descriptor it is imported", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    using buffer = anyDmaBuf(65536);
    using other = buffer.duplicate();
    const handle = vgem.importBuffer(buffer);
    expect(vgem.importBuffer(buffer)).toBe(handle);
    expect(vgem.importBuffer(other)).toBe(handle);
    expect(vgem.handleCount).toBe(1);
  });

  it("is another one for another buffer", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    using one = anyDmaBuf(4096);
    using two = anyDmaBuf(4096);
    expect(vgem.importBuffer(one)).not.toBe(vgem.importBuffer(two));
  });

  it("is given back by one close, and unknown after that", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    using buffer = anyDmaBuf(4096);
    const handle = vgem.importBuffer(buffer);
    vgem.importBuffer(buffer);
    vgem.closeHandle(handle);
    expect(refusal(() => vgem.closeHandle(handle))).toBe("SYSCALL_FAILED EINVAL");
    expect(refusal(() => vgem.exportHandle(handle))).toBe("SYSCALL_FAILED ENOENT");
    expect(vgem.handleCount).toBe(0);
  });

  it("exports as the same dma-buf every time", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    const { handle, sizeBytes } = vgem.createDumb(64, 64);
    using one = vgem.exportHandle(handle);
    using two = vgem.exportHandle(handle);
    expect(one.isSameAs(two)).toBe(true);
    expect(one.sizeBytes).toBe(sizeBytes);
    one.withBytesSync("write", (bytes) => bytes.fill(0x17));
    expect(two.withBytesSync("read", (bytes) => bytes[sizeBytes - 1])).toBe(0x17);
  });

  it("of an imported buffer exports as the original, not as a copy of it", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    using buffer = udmabuf(16384);
    using again = vgem.exportHandle(vgem.importBuffer(buffer));
    expect(again.isSameAs(buffer)).toBe(true);
    expect(again.exporterName).toBe("udmabuf");
  });

  it("of a device's own buffer comes back when it is imported where it was made", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    const { handle } = vgem.createDumb(32, 32);
    using buffer = vgem.exportHandle(handle);
    expect(vgem.importBuffer(buffer)).toBe(handle);
    expect(knownAs(buffer)?.attached).toEqual([]);
  });

  it("is another file's for another open of the same device, over the same bytes", () => {
    using one = new DrmDevice(nodeOf("vgem"));
    using two = new DrmDevice(nodeOf("vgem"));
    const { handle } = one.createDumb(32, 32);
    using buffer = one.exportHandle(handle);
    using same = two.exportHandle(two.importBuffer(buffer));
    expect(same.isSameAs(buffer)).toBe(true);
  });

  it("keeps the buffer alive when every descriptor of it is closed", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    const buffer = anyDmaBuf(8192);
    buffer.withBytesSync("write", (bytes) => bytes.fill(0x5c));
    const handle = vgem.importBuffer(buffer);
    buffer.close();
    using again = vgem.exportHandle(handle);
    expect(again.exporterName).toBe(ANY_EXPORTER);
    expect(again.withBytesSync("read", (bytes) => bytes[8191])).toBe(0x5c);
  });
});

describe("imports and exports by the hundred", () => {
  it("leave no descriptor, no handle and no dma-buf behind", () => {
    const vgem = new DrmDevice(nodeOf("vgem"));
    const [heapBefore, vgemBefore, before] = [buffersOf(ANY_EXPORTER), buffersOf("vgem"), fds()];
    for (let round = 0; round < 300; round++) {
      using buffer = anyDmaBuf(4096);
      vgem.closeHandle(vgem.importBuffer(buffer));
      const { handle } = vgem.createDumb(8, 8);
      vgem.exportHandle(handle).close();
      vgem.closeHandle(handle);
    }
    expect(vgem.handleCount).toBe(0);
    expect(fds()).toBe(before);
    expect([buffersOf(ANY_EXPORTER), buffersOf("vgem")]).toEqual([heapBefore, vgemBefore]);
    vgem.close();
  });

  it("are all given back when the device is closed", () => {
    const [before, open] = [buffersOf(ANY_EXPORTER), fds()];
    const vgem = new DrmDevice(nodeOf("vgem"));
    for (let count = 0; count < 100; count++) {
      using buffer = anyDmaBuf(4096);
      vgem.importBuffer(buffer);
    }
    expect(buffersOf(ANY_EXPORTER)).toBe(before + 100);
    vgem.close();
    expect(buffersOf(ANY_EXPORTER)).toBe(before);
    expect(fds()).toBe(open);
  });
});

describe("what a DRM device refuses", () => {
  it("is a memfd, which is no dma-buf", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    using memory = sharedMemory(4096);
    expect(refusal(() => vgem.importBuffer(memory))).toBe("NOT_A_BUFFER EINVAL");
  });

  it("is a buffer that is closed, and every call after its own close", () => {
    const vgem = new DrmDevice(nodeOf("vgem"));
    const buffer = anyDmaBuf(4096);
    buffer.close();
    expect(refusal(() => vgem.importBuffer(buffer))).toBe("HANDLE_CLOSED EBADF");
    vgem.close();
    expect(refusal(() => vgem.close())).toBe("HANDLE_CLOSED EBADF");
    expect(refusal(() => vgem.createDumb(1, 1))).toBe("HANDLE_CLOSED EBADF");
    expect(refusal(() => vgem.exportHandle(1))).toBe("HANDLE_CLOSED EBADF");
  });

  it("are sizes that are none, and those that no 32 bits hold", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    for (const size of [0, -1, 1.5, Number.NaN, 2 ** 32, 2 ** 32 + 64]) {
      expect(refusal(() => vgem.createDumb(size, 64))).toBe("ARGUMENT_INVALID EINVAL");
    }
    expect(refusal(() => vgem.createDumb(2 ** 31, 2 ** 31))).toBe("SYSCALL_FAILED EINVAL");
    expect(vgem.handleCount).toBe(0);
  });

  it("are handles that no 32 bits hold, which cut short would be somebody else's", () => {
    using vgem = new DrmDevice(nodeOf("vgem"));
    const { handle } = vgem.createDumb(64, 64);
    for (const wrong of [handle + 2 ** 32, -1, 0, 0.5, Number.NaN]) {
      expect(refusal(() => vgem.exportHandle(wrong))).toBe("ARGUMENT_INVALID EINVAL");
      expect(refusal(() => vgem.closeHandle(wrong))).toBe("ARGUMENT_INVALID EINVAL");
      expect(refusal(() => attachVgemFence(vgem, wrong, "write"))).toBe("ARGUMENT_INVALID EINVAL");
      expect(refusal(() => signalVgemFence(vgem, wrong))).toBe("ARGUMENT_INVALID EINVAL");
    }
    vgem.exportHandle(handle).close();
  });

  it("is a node that is none", () => {
    const before = fds();
    expect(refusal(() => new DrmDevice("/dev/dri/card99"))).toBe("PLATFORM_MISSING ENODEV");
    expect(refusal(() => new DrmDevice("/dev/null"))).toBe("SYSCALL_FAILED ENOTTY");
    expect(fds()).toBe(before);
  });
});

describe("virtio-gpu", () => {
  it("exports buffers of its own that vgem imports, and takes its own back as they were", () => {
    using gpu = new DrmDevice(nodeOf("virtio_gpu"));
    using vgem = new DrmDevice(nodeOf("vgem"));
    const { handle } = gpu.createDumb(64, 64);
    using buffer = gpu.exportHandle(handle);
    expect(buffer.exporterName).toBe("virtio_gpu");
    expect(gpu.importBuffer(buffer)).toBe(handle);
    expect(vgem.importBuffer(buffer)).toBeGreaterThan(0);
  });

  it("refuses other people's buffers on 6.12", () => {
    using gpu = new DrmDevice(nodeOf("virtio_gpu"));
    using buffer = anyDmaBuf(4096);
    expect(refusal(() => gpu.importBuffer(buffer))).toBe("SYSCALL_FAILED ENODEV");
    expect(gpu.handleCount).toBe(0);
  });
});

describe("a platform with a DRM device", () => {
  it("attaches a buffer once however often it is mapped, and lets go with the last mapping", () => {
    const path = nodeOf("vgem");
    using platform = createLinuxPlatform({ drm: [path], memory: "udmabuf" });
    using framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const gpu = framework.openImporter(kernelImporter, path, undefined).api;
    using buffer = heap.allocate(65536);
    using attachment = buffer.attach(gpu.importer);
    const before = attached();
    const one = attachment.map("to-device");
    const two = attachment.map("from-device");
    expect(gpu.handlesOf(one)).toEqual(gpu.handlesOf(two));
    expect(attached()).toBe(before + 1);
    one.unmap();
    expect(gpu.handlesOf(two).length).toBe(1);
    expect(refusal(() => one.unmap())).toBe("HANDLE_CLOSED EBADF");
    expect(attached()).toBe(before + 1);
    two.unmap();
    expect(attached()).toBe(before);
  });

  it("refuses to close a buffer that is attached, and goes on", () => {
    const path = nodeOf("vgem");
    using platform = createLinuxPlatform({ drm: [path] });
    using framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const gpu = framework.openImporter(kernelImporter, path, undefined).api;
    using buffer = heap.allocate(4096);
    const attachment = buffer.attach(gpu.importer);
    const mapping = attachment.map("to-device");
    expect(refusal(() => buffer.close())).toBe("BUFFER_BUSY EBUSY");
    expect(refusal(() => attachment.detach())).toBe("WRONG_ORDER EBUSY");
    mapping.unmap();
    attachment.detach();
    expect(refusal(() => attachment.detach())).toBe("WRONG_ORDER EBUSY");
    expect(refusal(() => attachment.map("to-device"))).toBe("WRONG_ORDER EBUSY");
  });

  it("survives the loss of its device while buffers are mapped", () => {
    const before = fds();
    const path = nodeOf("vgem");
    const platform = createLinuxPlatform({ drm: [path] });
    const framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const gpu = framework.openImporter(kernelImporter, path, undefined).api;
    const buffer = heap.allocate(4096);
    const attachment = buffer.attach(gpu.importer);
    const mapping = attachment.map("to-device");
    platform.close();
    mapping.unmap();
    expect(refusal(() => attachment.map("to-device"))).toBe("HANDLE_CLOSED EBADF");
    attachment.detach();
    buffer.close();
    framework.close();
    expect(platform.handles()).toEqual({ mappings: 0, hostAllocations: 0 });
    expect(fds()).toBe(before);
  });

  it("opens nothing when one of its devices is missing, or named twice", () => {
    const before = fds();
    const path = nodeOf("vgem");
    expect(refusal(() => createLinuxPlatform({ drm: [path, "/dev/dri/card99"] }))).toBe(
      "PLATFORM_MISSING ENODEV",
    );
    expect(refusal(() => createLinuxPlatform({ drm: [path, path] }))).toBe(
      "ARGUMENT_INVALID EINVAL",
    );
    expect(fds()).toBe(before);
  });
});
