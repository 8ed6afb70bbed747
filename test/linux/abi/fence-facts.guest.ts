/** What a sync_file and a vgem fence are and answer, on the kernel itself (include/uapi/linux/sync_file.h, 6.12). */
import {
  attachVgemFence,
  type DrmDevice,
  exportSyncFile,
  importSyncFile,
  type LinuxBuffer,
  LinuxSyncFile,
  MonotonicClock,
  signalVgemFence,
} from "@peerbuf/linux";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { anyDmaBuf } from "./any-dma-buf.ts";
import { openDescriptors, refusal } from "./kernel-view.ts";
import { ask, drmOf } from "./raw-request.ts";

const MERGE = 0xc0303e03;
const FILE_INFO = 0xc0383e04;
const SET_DEADLINE = 0x40103e05;
const VGEM_FENCE_ATTACH = 0xc0106441;
const VGEM_FENCE_SIGNAL = 0x40086442;
const PRIME_HANDLE_TO_FD = 0xc00c642d;
const PRIME_FD_TO_HANDLE = 0xc00c642e;

let vgem: DrmDevice;

beforeAll(() => {
  vgem = drmOf("vgem");
});

afterAll(() => vgem.close());

/** A buffer with a pending fence, which `end` signals. */
function pending(use: "read" | "write" = "write"): {
  readonly buffer: LinuxBuffer;
  readonly file: LinuxSyncFile;
  end(): void;
  close(): void;
} {
  const { handle } = vgem.createDumb(16, 16);
  const buffer = vgem.exportHandle(handle);
  const fence = attachVgemFence(vgem, handle, use);
  const file = exportSyncFile(buffer, "write");
  return {
    buffer,
    file,
    end: () => signalVgemFence(vgem, fence),
    close() {
      file.close();
      buffer.close();
      vgem.closeHandle(handle);
    },
  };
}

/** struct sync_merge_data: name[32], fd2, fence, flags, pad. */
const merge = (fd: number, other: number, flags = 0, pad = 0): string | number =>
  ask(fd, MERGE, [0, 0, 0, 0, 0, 0, 0, 0, other, 0, flags, pad]);

/** struct sync_file_info: name[32], status, flags, num_fences, pad, then a pointer. */
const info = (fd: number, { flags = 0, count = 0, pad = 0 }): string | number =>
  ask(fd, FILE_INFO, [0, 0, 0, 0, 0, 0, 0, 0, 0, flags, count, pad, 0, 0]);

describe("merging sync_files", () => {
  it("refuses flags, what is no sync_file, and no pointer, and leaves no descriptor", () => {
    const one = pending();
    const fd = one.file.descriptor.number;
    const before = openDescriptors();
    expect(merge(fd, fd, 1)).toBe("EINVAL");
    expect(merge(fd, fd, 0, 1)).toBe("EINVAL");
    expect(merge(fd, -1)).toBe("ENOENT");
    expect(merge(fd, one.buffer.descriptor.number)).toBe("ENOENT");
    expect(ask(fd, MERGE, null)).toBe("EFAULT");
    expect(openDescriptors()).toBe(before);
    one.end();
    one.close();
  });

  it("looks at flags before it looks at the other file", () => {
    const one = pending();
    expect(merge(one.file.descriptor.number, -1, 1)).toBe("EINVAL");
    one.end();
    one.close();
  });

  it("of a file with itself holds one fence", () => {
    const one = pending();
    using twice = one.file.merge(one.file, "twice");
    expect(twice.info().fences.length).toBe(1);
    one.end();
    one.close();
  });

  it("leaves out what is signaled", () => {
    const [one, two] = [pending(), pending()];
    one.end();
    using both = one.file.merge(two.file, "both");
    expect(both.info().fences.length).toBe(1);
    expect(both.status).toBe(0);
    two.end();
    expect(both.status).toBe(1);
    one.close();
    two.close();
  });

  it("refuses a name of more than 31 bytes, and files that are closed", () => {
    const [one, two] = [pending(), pending()];
    expect(refusal(() => one.file.merge(two.file, "x".repeat(32)))).toBe("ARGUMENT_INVALID EINVAL");
    one.end();
    two.end();
    two.close();
    expect(refusal(() => one.file.merge(two.file, "late"))).toBe("HANDLE_CLOSED EBADF");
    one.close();
  });
});

describe("the facts of a sync_file", () => {
  it("are who works, on which timeline, and since when it is done", () => {
    const one = pending();
    const { fences, status } = one.file.info();
    expect(status).toBe(0);
    expect(fences).toMatchObject([{ driverName: "vgem", status: 0 }]);
    expect(fences[0]?.timelineName).not.toBe("");
    const before = new MonotonicClock().nowNs;
    one.end();
    const [done] = one.file.info().fences;
    expect(done?.status).toBe(1);
    expect(done?.timestampNs).toBeGreaterThanOrEqual(before);
    expect(done?.timestampNs).toBeLessThanOrEqual(new MonotonicClock().nowNs);
    one.close();
  });

  it("are refused with flags, with padding, and to a table that is too small", () => {
    const [one, two] = [pending(), pending()];
    using both = one.file.merge(two.file, "both");
    const fd = both.descriptor.number;
    expect(info(fd, { flags: 1 })).toBe("EINVAL");
    expect(info(fd, { pad: 1 })).toBe("EINVAL");
    expect(info(fd, { count: 1 })).toBe("EINVAL");
    expect(info(fd, {})).toBe(0);
    expect(ask(fd, FILE_INFO, null)).toBe("EFAULT");
    one.end();
    two.end();
    one.close();
    two.close();
  });

  it("are asked of sync_files only, and other requests are ENOTTY", () => {
    const one = pending();
    expect(info(one.buffer.descriptor.number, {})).toBe("ENOTTY");
    expect(ask(one.file.descriptor.number, 0xc0303e09, [0])).toBe("ENOTTY");
    one.end();
    one.close();
  });
});

describe("a deadline", () => {
  it("is taken as a hint since 6.4, whatever its time, and refused with padding", () => {
    const one = pending();
    const fd = one.file.descriptor.number;
    one.file.setDeadline(new MonotonicClock().nowNs + 1e9);
    one.file.setDeadline(0);
    for (const time of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(refusal(() => one.file.setDeadline(time))).toBe("ARGUMENT_INVALID EINVAL");
    }
    expect(ask(fd, SET_DEADLINE, [1, 0, 1, 0])).toBe("EINVAL");
    expect(ask(fd, SET_DEADLINE, null)).toBe("EFAULT");
    expect(one.file.status).toBe(0);
    one.end();
    one.file.setDeadline(1);
    one.close();
  });
});

describe("vgem fences", () => {
  it("conflict as users of a buffer do: a reader with a writer, a writer with everybody", () => {
    const { handle } = vgem.createDumb(16, 16);
    const reader = attachVgemFence(vgem, handle, "read");
    const second = attachVgemFence(vgem, handle, "read");
    expect(refusal(() => attachVgemFence(vgem, handle, "write"))).toBe("SYSCALL_FAILED EBUSY");
    signalVgemFence(vgem, reader);
    expect(refusal(() => attachVgemFence(vgem, handle, "write"))).toBe("SYSCALL_FAILED EBUSY");
    signalVgemFence(vgem, second);
    const writer = attachVgemFence(vgem, handle, "write");
    expect(refusal(() => attachVgemFence(vgem, handle, "read"))).toBe("SYSCALL_FAILED EBUSY");
    expect(refusal(() => attachVgemFence(vgem, handle, "write"))).toBe("SYSCALL_FAILED EBUSY");
    signalVgemFence(vgem, writer);
    vgem.closeHandle(handle);
  });

  it("are signaled once, by a number that is known, without flags", () => {
    const { handle } = vgem.createDumb(16, 16);
    const fd = vgem.node.number;
    const fence = attachVgemFence(vgem, handle, "read");
    expect(ask(fd, VGEM_FENCE_SIGNAL, [fence, 1])).toBe("EINVAL");
    signalVgemFence(vgem, fence);
    expect(refusal(() => signalVgemFence(vgem, fence))).toBe("SYSCALL_FAILED ENOENT");
    expect(refusal(() => signalVgemFence(vgem, 4242))).toBe("SYSCALL_FAILED ENOENT");
    expect(ask(fd, VGEM_FENCE_ATTACH, [handle, 2, 0, 0])).toBe("EINVAL");
    expect(ask(fd, VGEM_FENCE_ATTACH, [handle, 0, 0, 1])).toBe("EINVAL");
    expect(ask(fd, VGEM_FENCE_ATTACH, [4242, 0, 0, 0])).toBe("ENOENT");
    vgem.closeHandle(handle);
  });

  it("end when their device file is closed", async () => {
    const device = drmOf("vgem");
    const { handle } = device.createDumb(16, 16);
    const buffer = device.exportHandle(handle);
    attachVgemFence(device, handle, "write");
    using file = exportSyncFile(buffer, "read");
    expect(file.status).toBe(0);
    device.close();
    expect(await file.signaled({ timeoutMs: 30_000 })).toBeUndefined();
    buffer.close();
  });
});

describe("fences of a buffer", () => {
  it("for a reader are the writers', for a writer everybody's", () => {
    const { buffer, file, end, close } = pending("read");
    using forReader = exportSyncFile(buffer, "read");
    expect(forReader.status).toBe(1);
    expect(file.status).toBe(0);
    end();
    close();
  });

  it("imported as a reader's keep only writers waiting", async () => {
    using target = anyDmaBuf(4096);
    const one = pending();
    importSyncFile(target, one.file, "read");
    await target.idle("read", { timeoutMs: 30_000 });
    using forWriter = exportSyncFile(target, "write");
    expect(forWriter.status).toBe(0);
    one.end();
    await target.idle("write", { timeoutMs: 30_000 });
    one.close();
  });

  it("outlive the buffer and the file they came from", async () => {
    const one = pending();
    using copy = LinuxSyncFile.fromFd(one.file.descriptor.number);
    const waiting = copy.signaled({ timeoutMs: 30_000 });
    one.file.close();
    one.end();
    expect(await waiting).toBeUndefined();
    one.buffer.close();
  });
});

describe("PRIME requests", () => {
  it("refuse unknown flags and handles", () => {
    const { handle } = vgem.createDumb(16, 16);
    const fd = vgem.node.number;
    expect(ask(fd, PRIME_HANDLE_TO_FD, [handle, 4, -1])).toBe("EINVAL");
    expect(ask(fd, PRIME_HANDLE_TO_FD, [4242, 0, -1])).toBe("ENOENT");
    vgem.closeHandle(handle);
  });

  it("refuse descriptors that are closed or no dma-buf", () => {
    const fd = vgem.node.number;
    const one = pending();
    expect(ask(fd, PRIME_FD_TO_HANDLE, [0, 0, 9999])).toBe("EBADF");
    expect(ask(fd, PRIME_FD_TO_HANDLE, [0, 0, fd])).toBe("EINVAL");
    expect(ask(fd, PRIME_FD_TO_HANDLE, [0, 0, one.file.descriptor.number])).toBe("EINVAL");
    one.end();
    one.close();
  });
});
