/**
 * A buffer on real Linux, on any machine: shared memory without a device behind it. What needs dma-bufs is
 * tested in a guest with a kernel that has them.
 */
import { closeSync, openSync } from "node:fs";
import { fromFd, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { openDescriptorCount, sharedMappingCount } from "./open-descriptors.ts";

const isLinux = process.platform === "linux";
if (!isLinux) {
  console.warn("packages/linux is tested on Linux only: skipped");
}

const codeOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return "no error";
};

describe.skipIf(!isLinux)("shared memory", () => {
  it("is zeroed, keeps what is written between brackets, and is one buffer by any descriptor", () => {
    using buffer = sharedMemory(8192);
    expect(buffer.withBytesSync("read", (bytes) => bytes.every((byte) => byte === 0))).toBe(true);

    buffer.withBytesSync("write", (bytes) => bytes.fill(0x5a));

    using again = fromFd(buffer.descriptor.number);
    expect(again.isSameAs(buffer)).toBe(true);
    expect(again.sizeBytes).toBe(8192);
    expect(again.kind).toBe("memfd");
    expect(again.withBytesSync("read", (bytes) => bytes[8191])).toBe(0x5a);
  });

  it("gives back its descriptor and its mapping at close, on every path", () => {
    const descriptors = openDescriptorCount();
    for (let round = 0; round < 100; round++) {
      using buffer = sharedMemory(4096, "returned");
      expect(() =>
        buffer.withBytesSync("read", () => {
          throw new Error("the user's own");
        }),
      ).toThrow("the user's own");
    }
    expect(openDescriptorCount()).toBe(descriptors);
    expect(sharedMappingCount("returned")).toBe(0);
  });

  it("takes a view away when its last bracket ends: no read, no write, no crash", () => {
    using buffer = sharedMemory(4096);
    const outer = buffer.beginCpuAccess("write");
    const inner = buffer.beginCpuAccess("read");
    const view = inner.bytes;
    inner.end();
    view[0] = 1;
    outer.end();

    expect(view.length).toBe(0);
    view[0] = 2;
    expect(view[0]).toBeUndefined();
    expect(() => view.set([1, 2, 3])).toThrow();
    expect(codeOf(() => inner.bytes)).toBe("HANDLE_CLOSED");
    expect(codeOf(() => inner.end())).toBe("HANDLE_CLOSED");
    expect(buffer.withBytesSync("read", (bytes) => bytes[0])).toBe(1);
  });

  it("cannot be closed under an open bracket, nor twice, nor used afterwards", () => {
    const buffer = sharedMemory(4096);
    const access = buffer.beginCpuAccess("write");
    expect(codeOf(() => buffer.close())).toBe("BUFFER_BUSY");
    access.end();
    buffer.close();

    expect(codeOf(() => buffer.close())).toBe("HANDLE_CLOSED");
    expect(codeOf(() => buffer.beginCpuAccess("read"))).toBe("HANDLE_CLOSED");
    expect(codeOf(() => buffer.descriptor)).toBe("HANDLE_CLOSED");
  });

  it("refuses what is no buffer, and closes nothing that is not its own", () => {
    const descriptors = openDescriptorCount();
    const file = openSync("/proc/self/status", "r");

    expect(codeOf(() => fromFd(file))).toBe("NOT_A_BUFFER");
    expect(codeOf(() => fromFd(123_456))).toBe("SYSCALL_FAILED");
    expect(codeOf(() => fromFd(-1))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => sharedMemory(100))).toBe("SIZE_INVALID");

    closeSync(file);
    expect(openDescriptorCount()).toBe(descriptors);
  });

  it("is idle at once: no device works on it", async () => {
    using buffer = sharedMemory(4096);
    await buffer.idle("write");
    expect(await buffer.withBytes("write", async (bytes) => bytes.length)).toBe(4096);
  });
});
