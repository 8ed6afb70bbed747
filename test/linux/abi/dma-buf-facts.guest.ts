/** What a dma-buf descriptor is and answers, on the kernel itself (include/uapi/linux/dma-buf.h, 6.12). */
import { fstatSync, readlinkSync, readSync, writeSync } from "node:fs";
import { exportSyncFile, fromFd, type LinuxBuffer, udmabuf } from "@peerbuf/linux";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ANY_EXPORTER, anyDmaBuf } from "./any-dma-buf.ts";
import { knownAs, openDescriptors, refusal } from "./kernel-view.ts";
import { ask, control, seek, tryMap } from "./raw-request.ts";

const SYNC = 0x40086200;
const SET_NAME = 0x40086201;
const EXPORT_SYNC_FILE = 0xc0086202;
const IMPORT_SYNC_FILE = 0x40086203;
const F_GET_SEALS = 1034;
const F_SETFL = 4;
const O_NONBLOCK = 0x800;

let buffer: LinuxBuffer;
let fd: number;

beforeEach(() => {
  buffer = anyDmaBuf(65536);
  fd = buffer.descriptor.number;
});

afterEach(() => buffer.close());

describe("SYNC", () => {
  it("takes every bracket that is one: start and end of read, write and both", () => {
    for (const flags of [1, 2, 3, 5, 6, 7]) {
      expect(ask(fd, SYNC, [flags, 0])).toBe(0);
    }
  });

  it("refuses flags without a direction, unknown ones, and no pointer", () => {
    expect(ask(fd, SYNC, [0, 0])).toBe("EINVAL");
    expect(ask(fd, SYNC, [4, 0])).toBe("EINVAL");
    expect(ask(fd, SYNC, [9, 0])).toBe("EINVAL");
    expect(ask(fd, SYNC, [1, 1])).toBe("EINVAL");
    expect(ask(fd, SYNC, null)).toBe("EFAULT");
  });
});

describe("a name", () => {
  it("has at most 31 bytes, and is read by its pointer", () => {
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);
    expect(ask(fd, SET_NAME, bytes("x".repeat(31)))).toBe(0);
    expect(ask(fd, SET_NAME, bytes("x".repeat(32)))).toBe("EINVAL");
    expect(ask(fd, SET_NAME, null)).toBe("EFAULT");
    expect(buffer.name).toBe("x".repeat(31));
  });

  it("stands in the link of the descriptor, which has none without it", () => {
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe("/dmabuf:");
    buffer.setName("frame 7");
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe("/dmabuf:frame 7");
    expect(buffer.name).toBe("frame 7");
  });

  it("can be taken back, and be of any characters", () => {
    buffer.setName("größe 🜂");
    expect(buffer.name).toBe("größe 🜂");
    buffer.setName("");
    expect(buffer.name).toBe("");
  });
});

describe("EXPORT_SYNC_FILE and IMPORT_SYNC_FILE", () => {
  it("refuse directions that are none, and leave no descriptor", () => {
    const before = openDescriptors();
    for (const flags of [0, 4, 8, 7]) {
      expect(ask(fd, EXPORT_SYNC_FILE, [flags, -1])).toBe("EINVAL");
      expect(ask(fd, IMPORT_SYNC_FILE, [flags, -1])).toBe("EINVAL");
    }
    expect(ask(fd, EXPORT_SYNC_FILE, null)).toBe("EFAULT");
    expect(openDescriptors()).toBe(before);
  });

  it("refuse what is no sync_file, a dma-buf among others", () => {
    expect(ask(fd, IMPORT_SYNC_FILE, [1, fd])).toBe("EINVAL");
    expect(ask(fd, IMPORT_SYNC_FILE, [1, -1])).toBe("EINVAL");
    expect(ask(fd, IMPORT_SYNC_FILE, [1, 9999])).toBe("EINVAL");
  });

  it("take signaled fences too, which keep nobody waiting", async () => {
    using file = exportSyncFile(buffer, "read-write");
    expect(ask(fd, IMPORT_SYNC_FILE, [2, file.descriptor.number])).toBe(0);
    await buffer.idle("read-write", { timeoutMs: 5000 });
    expect(file.status).toBe(1);
  });
});

describe("other requests", () => {
  it("are ENOTTY", () => {
    expect(ask(fd, 0x40086204, [1, 0])).toBe("ENOTTY");
    expect(ask(fd, 0xc0186200, [1, 0, 0, 0, 0, 0])).toBe("ENOTTY");
    expect(ask(fd, 0x5401, [0, 0])).toBe("ENOTTY");
  });
});

describe("the file", () => {
  it("says its size at its end, and has no other positions", () => {
    expect(seek(fd, 0, 2)).toBe(65536);
    expect(seek(fd, 0, 0)).toBe(0);
    expect(seek(fd, 1, 0)).toBe("EINVAL");
    expect(seek(fd, -1, 2)).toBe("EINVAL");
    expect(seek(fd, 0, 1)).toBe("EINVAL");
  });

  it("has its size and an inode of its own in fstat, and is of no file type", () => {
    using other = anyDmaBuf(4096);
    using same = buffer.duplicate();
    const facts = fstatSync(fd);
    expect(facts.size).toBe(65536);
    expect(facts.isFile()).toBe(false);
    expect(facts.mode).toBe(0o600);
    expect(fstatSync(same.descriptor.number).ino).toBe(facts.ino);
    expect(fstatSync(other.descriptor.number).ino).not.toBe(facts.ino);
    expect(buffer.identity).toEqual({ device: facts.dev, inode: facts.ino });
  });

  it("cannot be read or written as a file", () => {
    const bytes = new Uint8Array(16);
    expect(() => readSync(fd, bytes)).toThrow(/EINVAL/);
    expect(() => writeSync(fd, bytes)).toThrow(/EINVAL/);
  });

  it("has no seals and takes O_NONBLOCK", () => {
    expect(control(fd, F_GET_SEALS, 0)).toBe("EINVAL");
    expect(control(fd, F_SETFL, O_NONBLOCK)).toBe(0);
  });

  it("is the same buffer by a duplicate, and lives on when the first is closed", () => {
    const first = anyDmaBuf(8192);
    first.withBytesSync("write", (bytes) => bytes.fill(0x7e));
    using second = fromFd(first.descriptor.number);
    first.close();
    expect(second.withBytesSync("read", (bytes) => bytes[8191])).toBe(0x7e);
    expect(refusal(() => first.withBytesSync("read", () => 0))).toBe("HANDLE_CLOSED EBADF");
  });
});

describe("a mapping", () => {
  it("lies within the buffer, at whole pages", () => {
    expect(tryMap(fd, { lengthBytes: 65536 })).toBe("mapped");
    expect(tryMap(fd, { offset: 61440 })).toBe("mapped");
    expect(tryMap(fd, { offset: 65536 })).toBe("EINVAL");
    expect(tryMap(fd, { lengthBytes: 69632 })).toBe("EINVAL");
    expect(tryMap(fd, { offset: 4096, lengthBytes: 65536 })).toBe("EINVAL");
    expect(tryMap(fd, { offset: 100 })).toBe("EINVAL");
  });

  it("of a udmabuf must be shared", () => {
    using pages = udmabuf(8192);
    expect(tryMap(pages.descriptor.number, { flags: 1 })).toBe("mapped");
    expect(tryMap(pages.descriptor.number, { flags: 2 })).toBe("EINVAL");
  });
});

describe("what we report", () => {
  it("is what fdinfo and debugfs say: size, exporter, inode, name", () => {
    buffer.setName("weights");
    expect(knownAs(buffer)).toEqual({
      sizeBytes: 65536,
      exporterName: ANY_EXPORTER,
      inode: buffer.identity.inode,
      name: "weights",
      attached: [],
    });
    expect([buffer.sizeBytes, buffer.exporterName, buffer.name]).toEqual([
      65536,
      ANY_EXPORTER,
      "weights",
    ]);
    using pages = udmabuf(12288);
    expect(knownAs(pages)).toMatchObject({ sizeBytes: 12288, exporterName: "udmabuf" });
    expect(pages.exporterName).toBe("udmabuf");
  });

  it("is gone from debugfs when the last of us has closed it", () => {
    const shortLived = anyDmaBuf(4096);
    const { inode } = shortLived.identity;
    expect(knownAs(shortLived)?.inode).toBe(inode);
    shortLived.close();
    expect(knownAs(shortLived)).toBeUndefined();
  });
});
