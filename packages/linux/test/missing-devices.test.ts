/** Cameras, NICs and GPUs that are not there, or are something else: a typed error that says what to do. */
import { PeerbufError } from "@peerbuf/core";
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
import { heapRefusal } from "../src/buffers/heap-refusal.ts";
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

describe("what a dma-heap refuses", () => {
  const meaningOf = (errno: string): string => {
    const refused = new PeerbufError("SYSCALL_FAILED", `open it: ${errno}`, { errno });
    const { code, errno: told, message } = heapRefusal(refused, "/dev/dma_heap/system", 4096);
    expect(told).toBe(errno);
    return `${code}: ${message}`;
  };

  it.each([
    [
      "EACCES",
      /^SYSCALL_FAILED: 4096 bytes of \/dev\/dma_heap\/system: EACCES, .*may not open.*udev/,
    ],
    ["EPERM", /^SYSCALL_FAILED: .*may not open the heap: run as root/],
    ["ENOENT", /^PLATFORM_MISSING: .*not there any more.*dmaHeapNames/],
    ["EMFILE", /^SYSCALL_FAILED: .*no more files.*ulimit -n/],
    ["ENOMEM", /^MEMORY_EXHAUSTED: .*ask for less/],
    ["EINVAL", /^SYSCALL_FAILED: .*size or with these flags.*whole pages/],
    ["ENOTTY", /^SYSCALL_FAILED: .*no dma-heap/],
  ])("as %s is told with its cause and what to do", (errno, told) => {
    expect(meaningOf(errno)).toMatch(told);
  });

  it("as anything else is told as it came", () => {
    expect(meaningOf("ECANCELED")).toBe("SYSCALL_FAILED: open it: ECANCELED");
  });
});
