/** Where buffers come from: seals, udmabuf and dma-heap requests, on the kernel itself (6.12). */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { sharedMemory, udmabuf } from "@peerbuf/linux";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { libc } from "../../../packages/linux/src/sys/libc.ts";
import { hasSystemHeap } from "./any-dma-buf.ts";
import { openDescriptors, refusal } from "./kernel-view.ts";
import { ask, control, tryMap } from "./raw-request.ts";

const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 16 };
const UDMABUF_CREATE = 0x40187542;
const UDMABUF_CREATE_LIST = 0x40087543;
const HEAP_ALLOC = 0xc0184800;
const CLOEXEC = 0x80000;
const SIZE = 16384;

/** A memfd of 16 KiB as a program may bring it; the caller closes it. */
function memfd({ isSealable = true, seals = 0 } = {}): number {
  const fd = libc().memfd_create("foreign", isSealable ? 3 : 1);
  ftruncateSync(fd, SIZE);
  if (seals !== 0) {
    expect(control(fd, F_ADD_SEALS, seals)).toBe(0);
  }
  return fd;
}

/** struct udmabuf_create. What was answered; a dma-buf is closed again. */
function create(node: number, fd: number, offset = 0, sizeBytes = SIZE): string | number {
  const answer = ask(node, UDMABUF_CREATE, [fd, 1, offset, 0, sizeBytes, 0]);
  if (typeof answer === "number") {
    closeSync(answer);
    return "a dma-buf";
  }
  return answer;
}

let udmabufNode: number;
let heapNode: number;

beforeAll(() => {
  udmabufNode = openSync("/dev/udmabuf", "r+");
  heapNode = hasSystemHeap ? openSync("/dev/dma_heap/system", "r+") : -1;
});

afterAll(() => {
  closeSync(udmabufNode);
  if (hasSystemHeap) {
    closeSync(heapNode);
  }
});

describe("seals of a memfd", () => {
  it("are for those that allow it", () => {
    const fd = memfd({ isSealable: false });
    expect(control(fd, F_GET_SEALS, 0)).toBe(SEAL.SEAL);
    expect(control(fd, F_ADD_SEALS, SEAL.SHRINK)).toBe("EPERM");
    closeSync(fd);
  });

  it("keep its size, and are final with F_SEAL_SEAL", () => {
    const fd = memfd({ seals: SEAL.SHRINK | SEAL.GROW });
    expect(() => ftruncateSync(fd, 4096)).toThrow(/EPERM/);
    expect(() => ftruncateSync(fd, 2 * SIZE)).toThrow(/EPERM/);
    expect(control(fd, F_ADD_SEALS, SEAL.SEAL)).toBe(0);
    expect(control(fd, F_ADD_SEALS, SEAL.WRITE)).toBe("EPERM");
    closeSync(fd);
  });

  it("are refused where they are none the kernel knows", () => {
    const fd = memfd();
    expect(control(fd, F_ADD_SEALS, 0x8000)).toBe("EINVAL");
    closeSync(fd);
  });

  it("of writing forbid writable mappings, and are refused while there is one", () => {
    using memory = sharedMemory(SIZE);
    const { number } = memory.descriptor;
    const access = memory.beginCpuAccess("write");
    expect(access.bytes.length).toBe(SIZE);
    expect(control(number, F_ADD_SEALS, SEAL.WRITE)).toBe("EBUSY");
    access.end();
    const sealed = memfd({ seals: SEAL.WRITE });
    expect(tryMap(sealed, { protection: 3 })).toBe("EPERM");
    expect(tryMap(sealed, { protection: 1 })).toBe("mapped");
    closeSync(sealed);
  });
});

describe("udmabuf", () => {
  it("wants a memfd that cannot shrink", () => {
    const [unsealed, sealed] = [memfd(), memfd({ seals: SEAL.SHRINK })];
    expect(create(udmabufNode, unsealed)).toBe("EINVAL");
    expect(create(udmabufNode, sealed)).toBe("a dma-buf");
    closeSync(unsealed);
    closeSync(sealed);
  });

  it("refuses one that is sealed against writing, now or in future", () => {
    for (const seals of [SEAL.WRITE, SEAL.FUTURE_WRITE]) {
      const fd = memfd({ seals: SEAL.SHRINK | seals });
      expect(create(udmabufNode, fd)).toBe("EINVAL");
      closeSync(fd);
    }
  });

  it("refuses ranges that are no whole pages, are empty, or lie outside", () => {
    const fd = memfd({ seals: SEAL.SHRINK });
    expect(create(udmabufNode, fd, 100)).toBe("EINVAL");
    expect(create(udmabufNode, fd, 0, 100)).toBe("EINVAL");
    expect(create(udmabufNode, fd, 0, 0)).toBe("EINVAL");
    expect(create(udmabufNode, fd, SIZE, 4096)).toBe("EINVAL");
    expect(create(udmabufNode, fd, 4096, SIZE)).toBe("EINVAL");
    expect(create(udmabufNode, fd, 4096, 4096)).toBe("a dma-buf");
    closeSync(fd);
  });

  it("says EBADFD for what is no memfd", () => {
    const file = openSync("/proc/self/status", "r");
    expect(create(udmabufNode, file)).toBe("EBADFD");
    expect(create(udmabufNode, 9999)).toBe("EBADFD");
    expect(create(udmabufNode, heapNode)).toBe("EBADFD");
    closeSync(file);
  });

  it("takes at most 1,024 pieces, and at least one", () => {
    expect(ask(udmabufNode, UDMABUF_CREATE_LIST, [1, 1025])).toBe("EINVAL");
    expect(ask(udmabufNode, UDMABUF_CREATE_LIST, [1, 0])).toBe("EINVAL");
    expect(refusal(() => udmabuf([]))).toBe("ARGUMENT_INVALID EINVAL");
  });

  it("answers no other request", () => {
    expect(ask(udmabufNode, 0x40187544, [0, 0, 0, 0, 0, 0])).toBe("ENOTTY");
    expect(ask(udmabufNode, UDMABUF_CREATE, null)).toBe("EFAULT");
  });

  it("holds its pages: the memfd can be sealed against writing only afterwards", () => {
    using memory = sharedMemory(SIZE);
    const { number } = memory.descriptor;
    {
      using buffer = udmabuf([{ memfd: memory, sizeBytes: SIZE }]);
      buffer.withBytesSync("write", (bytes) => bytes.fill(1));
      expect(control(number, F_ADD_SEALS, SEAL.WRITE)).toBe("EBUSY");
    }
    expect(control(number, F_ADD_SEALS, SEAL.FUTURE_WRITE)).toBe(0);
    expect(refusal(() => udmabuf([{ memfd: memory, sizeBytes: SIZE }]))).toBe(
      "ARGUMENT_INVALID EINVAL",
    );
  });

  it("seals a foreign memfd itself, and says which seal is in the way", () => {
    const before = openDescriptors();
    using memory = sharedMemory(SIZE);
    control(memory.descriptor.number, F_ADD_SEALS, SEAL.WRITE);
    expect(() => udmabuf([{ memfd: memory, sizeBytes: SIZE }])).toThrow(/F_SEAL_WRITE/);
    memory.close();
    expect(openDescriptors()).toBe(before);
  });
});

describe.skipIf(!hasSystemHeap)("the system heap", () => {
  /** struct dma_heap_allocation_data. */
  const allocate = (
    lengthBytes: number,
    fd = 0,
    fdFlags = 2 | CLOEXEC,
    heapFlags = 0,
  ): Int32Array => Int32Array.of(lengthBytes, 0, fd, fdFlags, heapFlags, 0);
  const answer = (argument: Int32Array, request = HEAP_ALLOC): string | number =>
    ask(heapNode, request, new Uint8Array(argument.buffer));

  it("rounds up to whole pages", () => {
    const argument = allocate(1);
    expect(answer(argument)).toBe(0);
    const fd = argument[2] as number;
    expect(tryMap(fd, { lengthBytes: 4096 })).toBe("mapped");
    expect(tryMap(fd, { lengthBytes: 8192 })).toBe("EINVAL");
    closeSync(fd);
  });

  it("refuses no bytes, a descriptor where none belongs, and unknown flags", () => {
    expect(answer(allocate(0))).toBe("EINVAL");
    expect(answer(allocate(4096, 1))).toBe("EINVAL");
    expect(answer(allocate(4096, 0, 0x40))).toBe("EINVAL");
    expect(answer(allocate(4096, 0, 2 | CLOEXEC, 1))).toBe("EINVAL");
    expect(ask(heapNode, HEAP_ALLOC, null)).toBe("EFAULT");
  });

  it("answers requests of number 0 only", () => {
    expect(answer(allocate(4096), 0xc0184801)).toBe("EINVAL");
  });

  it("makes a read-only buffer when asked for one, which nobody maps for writing", () => {
    const argument = allocate(4096, 0, CLOEXEC);
    expect(answer(argument)).toBe(0);
    const fd = argument[2] as number;
    expect(tryMap(fd, { protection: 1 })).toBe("mapped");
    expect(tryMap(fd, { protection: 3 })).toBe("EACCES");
    closeSync(fd);
  });
});
