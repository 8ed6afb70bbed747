/** Buffers of the real kernel: heap, udmabuf, and what is refused. */
import { closeSync, openSync, readdirSync, symlinkSync, unlinkSync } from "node:fs";
import { dmaHeap, dmaHeapNames, fromFd, sharedMemory, udmabuf } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { anyDmaBuf, hasSystemHeap } from "./any-dma-buf.ts";

const fds = (): number => readdirSync("/proc/self/fd").length;

const refusal = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    const { code, errno } = error as { code?: string; errno?: string };
    return `${code} ${errno}`;
  }
  return "no error";
};

describe.skipIf(!hasSystemHeap)("the system heap", () => {
  it("is listed and gives zeroed dma-bufs that say who made them", () => {
    expect(dmaHeapNames()).toContain("system");
    using buffer = dmaHeap("system", 1 << 20);
    expect(buffer.kind).toBe("dma-buf");
    expect(buffer.sizeBytes).toBe(1 << 20);
    expect(buffer.exporterName).toBe("system");
    expect(buffer.withBytesSync("read", (bytes) => bytes.every((byte) => byte === 0))).toBe(true);
  });

  it("keeps what is written, through any descriptor", () => {
    using buffer = dmaHeap("system", 8192);
    buffer.withBytesSync("write", (bytes) => bytes.fill(0xa5));
    using other = fromFd(buffer.descriptor.number);
    expect(other.isSameAs(buffer)).toBe(true);
    expect(other.withBytesSync("read", (bytes) => bytes[8191])).toBe(0xa5);
    using stranger = dmaHeap("system", 8192);
    expect(stranger.isSameAs(buffer)).toBe(false);
  });

  it("carries a name that everybody sees, of at most 31 bytes", () => {
    using buffer = dmaHeap("system", 4096);
    buffer.setName("weights");
    using other = buffer.duplicate();
    expect(other.name).toBe("weights");
    buffer.setName("x".repeat(31));
    expect(other.name).toBe("x".repeat(31));
    expect(refusal(() => buffer.setName("x".repeat(32)))).toBe("ARGUMENT_INVALID EINVAL");
  });

  it("refuses what is no size and what is no heap", () => {
    expect(refusal(() => dmaHeap("system", 0))).toBe("SIZE_INVALID EINVAL");
    expect(refusal(() => dmaHeap("system", 100))).toBe("SIZE_INVALID EINVAL");
    expect(refusal(() => dmaHeap("nosuch", 4096))).toBe("PLATFORM_MISSING ENODEV");
    expect(refusal(() => dmaHeap("../udmabuf", 4096))).toBe("PLATFORM_MISSING ENODEV");
    expect(refusal(() => dmaHeap("system", 2 ** 40))).toBe("MEMORY_EXHAUSTED ENOMEM");
  });

  it("is told from what only stands in its folder, with nothing left open", () => {
    const before = fds();
    symlinkSync("/dev/null", "/dev/dma_heap/hollow");
    try {
      expect(refusal(() => dmaHeap("hollow", 4096))).toBe("SYSCALL_FAILED ENOTTY");
      expect(() => dmaHeap("hollow", 4096)).toThrow(/no dma-heap: look at what made it/);
    } finally {
      unlinkSync("/dev/dma_heap/hollow");
    }
    expect(fds()).toBe(before);
  });

  it("gives back every descriptor", () => {
    const before = fds();
    for (let round = 0; round < 200; round++) {
      using buffer = dmaHeap("system", 4096);
      buffer.withBytesSync("read-write", (bytes) => bytes.fill(round));
    }
    expect(fds()).toBe(before);
  });
});

describe("udmabuf", () => {
  it("shares its bytes with the memfd", () => {
    using memory = sharedMemory(16384);
    using buffer = udmabuf([{ memfd: memory, sizeBytes: 16384 }]);
    memory.withBytesSync("write", (bytes) => bytes.fill(7));
    expect(buffer.withBytesSync("read", (bytes) => bytes[16383])).toBe(7);
    buffer.withBytesSync("write", (bytes) => bytes.fill(8));
    expect(memory.withBytesSync("read", (bytes) => bytes[0])).toBe(8);
    expect(buffer.exporterName).toBe("udmabuf");
  });

  it("strings pieces of several memfds together in order", () => {
    using one = sharedMemory(8192);
    using two = sharedMemory(8192);
    one.withBytesSync("write", (bytes) => bytes.fill(1));
    two.withBytesSync("write", (bytes) => bytes.fill(2));
    using buffer = udmabuf([
      { memfd: two, offset: 4096, sizeBytes: 4096 },
      { memfd: one, sizeBytes: 8192 },
    ]);
    expect(buffer.sizeBytes).toBe(12288);
    expect(buffer.withBytesSync("read", (bytes) => [bytes[0], bytes[4096], bytes[12287]])).toEqual([
      2, 1, 1,
    ]);
  });

  it("is made of fresh memory when only a size is given", () => {
    using buffer = udmabuf(65536);
    expect(buffer.withBytesSync("read", (bytes) => bytes.length)).toBe(65536);
  });

  it("refuses ranges outside the file, sizes beyond the module's limit, and strangers", () => {
    using memory = sharedMemory(8192);
    const piece = { memfd: memory, offset: 8192, sizeBytes: 4096 };
    expect(refusal(() => udmabuf([piece]))).toBe("SYSCALL_FAILED EINVAL");
    for (const offset of [-4096, 100, 0.5, Number.NaN, 2 ** 53]) {
      expect(refusal(() => udmabuf([{ ...piece, offset }]))).toBe("SIZE_INVALID EINVAL");
    }
    expect(refusal(() => udmabuf([]))).toBe("ARGUMENT_INVALID EINVAL");
    expect(refusal(() => udmabuf(128 << 20))).toBe("SYSCALL_FAILED EINVAL");
    using foreign = anyDmaBuf(4096);
    expect(refusal(() => udmabuf([{ memfd: foreign, sizeBytes: 4096 }]))).toBe(
      "ARGUMENT_INVALID EBADFD",
    );
  });
});

describe("a descriptor from anywhere", () => {
  it("is a buffer or is refused, and stays its owner's", () => {
    const before = fds();
    const file = openSync("/proc/self/status", "r");
    expect(refusal(() => fromFd(file))).toBe("NOT_A_BUFFER EINVAL");
    closeSync(file);
    expect(fds()).toBe(before);
  });
});
