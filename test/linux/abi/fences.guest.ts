/** Fences of the real kernel: waiting in the event loop, sync_files, and what blocks whom. */
import {
  attachVgemFence,
  DrmDevice,
  drmNodes,
  exportSyncFile,
  importSyncFile,
  type LinuxBuffer,
  LinuxSyncFile,
  signalVgemFence,
} from "@peerbuf/linux";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { anyDmaBuf } from "./any-dma-buf.ts";

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error: { code?: unknown }) => error.code,
  );

let vgem: DrmDevice;

beforeAll(() => {
  const cards = drmNodes().filter((path) => path.includes("card"));
  for (const path of cards) {
    const device = new DrmDevice(path);
    if (device.driverName === "vgem") {
      vgem = device;
      return;
    }
    device.close();
  }
  throw new Error(`no vgem among ${cards}`);
});

afterAll(() => vgem.close());

/** A vgem buffer with its handle. */
function newBuffer(): { readonly handle: number; readonly buffer: LinuxBuffer } {
  const { handle } = vgem.createDumb(64, 64);
  return { handle, buffer: vgem.exportHandle(handle) };
}

describe("a pending write fence", () => {
  it("keeps readers and writers waiting, and its signal wakes them", async () => {
    const { handle, buffer } = newBuffer();
    const fence = attachVgemFence(vgem, handle, "write");

    expect(await codeOf(buffer.idle("read", { timeoutMs: 20 }))).toBe("WAIT_TIMED_OUT");
    expect(await codeOf(buffer.idle("write", { timeoutMs: 20 }))).toBe("WAIT_TIMED_OUT");
    const waiting = Promise.all([buffer.idle("read"), buffer.idle("write")]);
    signalVgemFence(vgem, fence);

    await waiting;
    buffer.close();
  });

  it("can be given up by an abort", async () => {
    const { handle, buffer } = newBuffer();
    const fence = attachVgemFence(vgem, handle, "write");
    const abort = new AbortController();
    const waiting = codeOf(buffer.idle("read", { signal: abort.signal }));
    abort.abort();
    expect(await waiting).toBe("WAIT_INTERRUPTED");
    signalVgemFence(vgem, fence);
    buffer.close();
  });
});

describe("a pending read fence", () => {
  it("keeps writers waiting and readers not", async () => {
    const { handle, buffer } = newBuffer();
    const fence = attachVgemFence(vgem, handle, "read");
    await buffer.idle("read", { timeoutMs: 1000 });
    expect(await codeOf(buffer.idle("write", { timeoutMs: 20 }))).toBe("WAIT_TIMED_OUT");
    signalVgemFence(vgem, fence);
    await buffer.idle("write", { timeoutMs: 1000 });
    buffer.close();
  });
});

describe("a sync_file", () => {
  it("of an idle buffer is signaled", () => {
    using buffer = anyDmaBuf(4096);
    using file = exportSyncFile(buffer, "write");
    expect(file.status).toBe(1);
    expect(file.fence.poll()).toBe(true);
  });

  it("is pending, tells who works, and is core's Fence", async () => {
    const { handle, buffer } = newBuffer();
    const id = attachVgemFence(vgem, handle, "write");
    using file = exportSyncFile(buffer, "read");

    expect(file.status).toBe(0);
    expect(file.info().fences.map(({ driverName }) => driverName)).toEqual(["vgem"]);
    const { fence } = file;
    expect(fence.isSignaled).toBe(false);
    const seen: string[] = [];
    fence.addCallback(() => seen.push("callback"));
    const waited = fence.signaled({ timeoutNs: 5e9 });
    signalVgemFence(vgem, id);

    expect(await waited).toBeUndefined();
    expect(seen).toEqual(["callback"]);
    expect(file.status).toBe(1);
    expect(file.info().fences[0]?.timestampNs).toBeGreaterThan(0);
    buffer.close();
  });

  it("merged of two is signaled when both are", async () => {
    const first = newBuffer();
    const second = newBuffer();
    const ids = [first, second].map(({ handle }) => attachVgemFence(vgem, handle, "write"));
    using one = exportSyncFile(first.buffer, "read");
    using two = exportSyncFile(second.buffer, "read");
    using both = one.merge(two, "both");

    expect(both.info().name).toBe("both");
    expect(both.info().fences.length).toBe(2);
    signalVgemFence(vgem, ids[0] as number);
    expect(await codeOf(both.signaled({ timeoutMs: 20 }))).toBe("WAIT_TIMED_OUT");
    signalVgemFence(vgem, ids[1] as number);
    expect(await both.signaled()).toBeUndefined();
    first.buffer.close();
    second.buffer.close();
  });

  it("imported onto another buffer makes its users wait", async () => {
    const { handle, buffer } = newBuffer();
    using target = anyDmaBuf(4096);
    const id = attachVgemFence(vgem, handle, "write");
    using file = exportSyncFile(buffer, "read");

    importSyncFile(target, file, "write");

    expect(await codeOf(target.idle("read", { timeoutMs: 20 }))).toBe("WAIT_TIMED_OUT");
    signalVgemFence(vgem, id);
    await target.idle("read", { timeoutMs: 5000 });
    buffer.close();
  });

  it("is refused for a descriptor that is none", () => {
    using buffer = anyDmaBuf(4096);
    expect(() => LinuxSyncFile.fromFd(buffer.descriptor.number)).toThrow(/ENOTTY/);
  });
});

describe("a fence that nobody signals", () => {
  it("expires after 10 s without an error", async () => {
    const { handle, buffer } = newBuffer();
    attachVgemFence(vgem, handle, "write");
    using file = exportSyncFile(buffer, "read");
    expect(await file.signaled({ timeoutMs: 60_000 })).toBeUndefined();
    buffer.close();
  }, 90_000);
});
