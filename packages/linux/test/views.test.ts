/** Views of mapped bytes, used in every wrong way: each ends in an exception or in nothing, never the process. */
import { fstatSync, readFileSync, readSync } from "node:fs";
import { runInNewContext } from "node:vm";
import { MessageChannel } from "node:worker_threads";
import { Descriptor, fromFd, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { libc } from "../src/sys/libc.ts";
import { addSeals, createMemfd, SEAL } from "../src/sys/memfd.ts";
import { MemoryMap } from "../src/sys/memory-map.ts";
import { sharedMappingCount } from "./open-descriptors.ts";
import { codeOf, codeOfAsync } from "./refusal.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_HUGETLB = 4;

/** A memfd as others make it: not sealed. Undefined where the kernel has no such pages. */
function looseMemfd(flags = 0): Descriptor | undefined {
  const number = libc().memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
  if (number < 0) {
    return undefined;
  }
  libc().ftruncate(number, 2 ** 21);
  return new Descriptor(number, "loose");
}

function hasHugePages(): boolean {
  using memfd = process.platform === "linux" ? looseMemfd(MFD_HUGETLB) : undefined;
  return memfd !== undefined;
}

describe.skipIf(process.platform !== "linux")("a view", () => {
  it("kept after its bracket, after an unmap and after a close gives and takes nothing", () => {
    const buffer = sharedMemory(8192, "outlived");
    const access = buffer.beginCpuAccess("write");
    const views = [
      access.bytes,
      access.bytes.subarray(4096),
      new Uint8Array(access.bytes.buffer, 8),
    ];
    const words = new Uint32Array(access.bytes.buffer);
    const data = new DataView(access.bytes.buffer);
    access.end();
    buffer.close();

    for (const view of views) {
      view[0] = 1;
      expect(view[0]).toBeUndefined();
      expect(view.length).toBe(0);
    }
    expect(() => Atomics.add(words, 0, 1)).toThrow();
    expect(() => data.getUint8(0)).toThrow(TypeError);
    expect(() => Buffer.from(views[0]?.buffer as ArrayBuffer)).toThrow();
    expect(sharedMappingCount("outlived")).toBe(0);
  });

  it("goes to no other thread", () => {
    using buffer = sharedMemory(4096);
    using access = buffer.beginCpuAccess("write");
    const { bytes } = access;
    bytes.fill(7);
    const { port1, port2 } = new MessageChannel();
    try {
      port1.postMessage(bytes, [bytes.buffer]);
    } catch (error) {
      expect((error as Error).name).toBe("DataCloneError");
    }
    port1.close();
    port2.close();
    expect(access.bytes[4095]).toBe(7);
  });

  it("whose bytes were moved away ends in a typed error, and the next access sees the buffer again", async () => {
    const lost: string[] = [];
    const listen = (warning: Error & { code?: string }): number => lost.push(`${warning.code}`);
    process.on("warning", listen);
    const transfer = runInNewContext("ArrayBuffer.prototype.transfer");
    {
      using buffer = sharedMemory(8192, "moved");
      buffer.withBytesSync("write", (bytes) => bytes.fill(5));
      const access = buffer.beginCpuAccess("write");
      const thief = new Uint8Array(transfer.call(access.bytes.buffer) as ArrayBuffer);
      expect(codeOf(() => access.bytes)).toBe("HANDLE_CLOSED");
      expect(thief[8191]).toBe(5);
      access.end();

      thief.fill(1);
      expect(buffer.withBytesSync("read", (bytes) => [bytes[0], bytes.length])).toEqual([5, 8192]);
      const again = buffer.beginCpuAccess("read");
      const second = new Uint8Array(transfer.call(again.bytes.buffer) as ArrayBuffer);
      again.end();
      buffer.close();
      expect(second.fill(9)[8191]).toBe(9);
    }
    await new Promise(setImmediate);
    process.off("warning", listen);
    expect(lost).toEqual(["HANDLE_LOST", "HANDLE_LOST"]);
    expect(sharedMappingCount("moved")).toBe(0);
  });

  it("is refused for a use that is none, and for asynchronous work between synchronous brackets", async () => {
    using buffer = sharedMemory(4096);
    for (const use of ["append", "", "toString", undefined, null]) {
      expect(codeOf(() => buffer.beginCpuAccess(use as never))).toBe("ARGUMENT_INVALID");
      expect(await codeOfAsync(buffer.idle(use as never))).toBe("ARGUMENT_INVALID");
    }
    const work = async (): Promise<void> => {
      await new Promise(setImmediate);
      throw new Error("nobody hears of this");
    };
    // Also a promise of another realm, and what only acts like one.
    const foreign = (): unknown => runInNewContext("Promise.reject(new Error('nobody hears it'))");
    const likeOne = (): unknown => runInNewContext("({ then: (done) => done() })");
    for (const each of [work, foreign, likeOne]) {
      expect(codeOf(() => buffer.withBytesSync("read", each))).toBe("ARGUMENT_INVALID");
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("that goes on after its bracket changes nothing, and is told so when it asks anew", async () => {
    using buffer = sharedMemory(4096);
    const late: Promise<string>[] = [];
    await buffer.withBytes("write", (bytes) => {
      late.push(
        (async () => {
          await new Promise(setImmediate);
          bytes[0] = 9;
          expect(() => bytes.set([9])).toThrow(TypeError);
          return `${bytes.length}`;
        })(),
      );
    });
    const access = buffer.beginCpuAccess("write");
    late.push(
      (async () => {
        await new Promise(setImmediate);
        return codeOf(() => access.bytes);
      })(),
    );
    access.end();

    expect(await Promise.all(late)).toEqual(["0", "HANDLE_CLOSED"]);
    expect(buffer.withBytesSync("read", ([first]) => first)).toBe(0);
  });

  it("ends its bracket when the work throws, at once or later", async () => {
    using buffer = sharedMemory(4096);
    const fail = (): never => {
      throw new Error("the user's");
    };
    expect(() => buffer.withBytesSync("write", fail)).toThrow("the user's");
    await expect(buffer.withBytes("write", fail)).rejects.toThrow("the user's");
    await expect(buffer.withBytes("write", async () => fail())).rejects.toThrow("the user's");
    buffer.close();
  });
});

describe.skipIf(process.platform !== "linux")("a buffer of 4 GiB", () => {
  it("is mapped, and one page more is refused", () => {
    using largest = sharedMemory(2 ** 32);
    expect(largest.withBytesSync("read", (bytes) => bytes[2 ** 32 - 1])).toBe(0);
    const isBounded = process.versions.node.startsWith("20.");
    using larger = sharedMemory(2 ** 32 + 4096);
    const answer = codeOf(() => larger.withBytesSync("read", (bytes) => bytes[2 ** 32]));
    expect(answer).toBe(isBounded ? "SIZE_INVALID" : "no error");
  });
});

describe.skipIf(process.platform !== "linux")("a memfd", () => {
  it("that may shrink is refused: its pages could vanish under a mapping", () => {
    using memfd = createMemfd("firm", 4096);
    expect(fromFd(memfd.number)[Symbol.dispose]()).toBeUndefined();
    using file = looseMemfd() as Descriptor;
    expect(codeOf(() => fromFd(file.number))).toBe("NOT_A_BUFFER");
    addSeals(file, SEAL.SHRINK);
    using buffer = fromFd(file.number);
    expect(buffer.sizeBytes).toBe(fstatSync(file.number).size);
  });

  it("that cannot be written is a buffer whose bytes are refused with the kernel's reason", () => {
    using memfd = createMemfd("sealed", 4096);
    addSeals(memfd, SEAL.WRITE);
    using buffer = fromFd(memfd.number);
    expect(codeOf(() => buffer.beginCpuAccess("read"))).toBe("SYSCALL_FAILED");
    buffer.close();
  });

  it("cannot be sealed against writing while it is mapped: the bracket keeps what it has", () => {
    using memfd = createMemfd("raced", 4096);
    using buffer = fromFd(memfd.number);
    using access = buffer.beginCpuAccess("write");
    expect(() => addSeals(memfd, SEAL.WRITE)).toThrow(/EBUSY/);
    access.bytes.fill(3);
  });

  it("keeps its position: looking at a buffer moves nothing", () => {
    using memfd = createMemfd("position", 4096);
    readSync(memfd.number, new Uint8Array(100));
    fromFd(memfd.number).close();
    expect(readFileSync(`/proc/self/fdinfo/${memfd.number}`, "utf8")).toMatch(/^pos:\s+100$/m);
  });

  it.skipIf(!hasHugePages())("of huge pages is refused: they may be punched out for good", () => {
    using memfd = looseMemfd(MFD_HUGETLB) as Descriptor;
    addSeals(memfd, SEAL.SHRINK);
    expect(() => fromFd(memfd.number)).toThrow(/huge pages/);
  });

  it("is unmapped once", () => {
    using memfd = createMemfd("once", 4096);
    const map = new MemoryMap(memfd, 4096);
    map.unmap();
    expect(codeOf(() => map.unmap())).toBe("HANDLE_CLOSED");
    expect(codeOf(() => map.bytes)).toBe("HANDLE_CLOSED");
    expect(codeOf(() => map.revokeViews())).toBe("HANDLE_CLOSED");
  });
});

if (!hasHugePages()) {
  console.warn("this kernel has no huge pages: what is said of them is not tested");
}
