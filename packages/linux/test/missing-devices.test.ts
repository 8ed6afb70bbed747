/** Cameras, NICs and GPUs that are not there, or are something else: a typed error that says what to do. */
import {
  DrmDevice,
  drmNodes,
  RdmaDevice,
  RdmaNic,
  rdmaNodes,
  sharedMemory,
  V4l2Capture,
  videoNodes,
} from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { openDescriptorCount } from "./open-descriptors.ts";
import { codeOf } from "./refusal.ts";

const OPENERS = {
  camera: { open: (path: string): Disposable => new V4l2Capture(path), missing: "/dev/video999" },
  "RDMA NIC": { open: (path: string) => new RdmaNic(path), missing: "/dev/infiniband/uverbs999" },
  "RDMA device": {
    open: (path: string) => new RdmaDevice(path),
    missing: "/dev/infiniband/uverbs999",
  },
  GPU: { open: (path: string) => new DrmDevice(path), missing: "/dev/dri/card999" },
};

describe.each(Object.entries(OPENERS))("a %s", (_, { open, missing }) => {
  it("that is not there is PLATFORM_MISSING, with what would make it", () => {
    const before = openDescriptorCount();
    expect(codeOf(() => open(missing))).toBe("PLATFORM_MISSING");
    expect(() => open(missing)).toThrow(/CONFIG_\w+/);
    expect(openDescriptorCount()).toBe(before);
  });

  it("that is another file is refused, and nothing stays open", () => {
    const before = openDescriptorCount();
    for (const path of ["/dev/null", "/dev", "/proc/self/status"]) {
      expect(codeOf(() => open(path))).toBe("SYSCALL_FAILED");
    }
    expect(openDescriptorCount()).toBe(before);
  });
});

describe("the lists of nodes", () => {
  it("are paths, or empty", () => {
    expect(videoNodes().every((path) => /^\/dev\/video\d+$/.test(path))).toBe(true);
    expect(rdmaNodes().every((path) => /^\/dev\/infiniband\/uverbs\d+$/.test(path))).toBe(true);
    expect(drmNodes().every((path) => /^\/dev\/dri\/(card|renderD)\d+$/.test(path))).toBe(true);
  });
});

describe("a capture", () => {
  it("has 1 to 32 buffers, which is looked at first", () => {
    using memory = sharedMemory(4096);
    for (const bufferCount of [0, -1, 1.5, 33, Number.NaN]) {
      expect(codeOf(() => new V4l2Capture("/dev/null", { bufferCount }))).toBe("ARGUMENT_INVALID");
    }
    const into = Array.from({ length: 33 }, () => memory);
    expect(codeOf(() => new V4l2Capture("/dev/null", { into }))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => new V4l2Capture("/dev/null", { into: [] }))).toBe("ARGUMENT_INVALID");
  });
});
