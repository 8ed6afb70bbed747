/** Real dma-bufs in numbers, waits under signals, and fences closed in every moment: all returns to where it was. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  attachVgemFence,
  Channel,
  channelPair,
  DrmDevice,
  drmNodes,
  exportSyncFile,
  type LinuxBuffer,
  openHandles,
  signalVgemFence,
  udmabuf,
} from "@peerbuf/linux";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ANY_EXPORTER, anyDmaBuf } from "./any-dma-buf.ts";
import { refusal } from "./kernel-view.ts";

/** Copies of a buffer, and files of its fence: each is waited for twice. */
const COUNT = 250;

const fds = (): number => readdirSync("/proc/self/fd").length;
let vgem: DrmDevice;

beforeAll(() => {
  const devices = drmNodes().map((path) => new DrmDevice(path));
  vgem = devices.find(({ driverName }) => driverName === "vgem") as DrmDevice;
  for (const device of devices.filter((each) => each !== vgem)) {
    device.close();
  }
});

afterAll(() => vgem.close());

function newBuffer(): { handle: number; buffer: LinuxBuffer } {
  const { handle } = vgem.createDumb(64, 64);
  return { handle, buffer: vgem.exportHandle(handle) };
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error: { code?: unknown }) => error.code,
  );

describe("400 dma-bufs", () => {
  it.each([
    [ANY_EXPORTER, () => anyDmaBuf(4096)],
    ["udmabuf", () => udmabuf(4096)],
  ])("of the %s, made, written, shared and dropped, leave nothing", async (_, make) => {
    const [near, theirs] = channelPair();
    const far = new Channel(theirs);
    const before = { fds: fds(), handles: openHandles().length };
    for (let round = 0; round < 200; round++) {
      const buffer = make();
      buffer.withBytesSync("write", (bytes) => bytes.fill(round));
      await near.share({ buffer });
      buffer.close();
      const received = (await far.receive())?.buffers.get("buffer");
      expect(received?.kind).toBe("dma-buf");
      expect(received?.withBytesSync("read", (bytes) => bytes[4095])).toBe(round & 0xff);
      received?.close();
    }
    expect({ fds: fds(), handles: openHandles().length }).toEqual(before);
    near.close();
    far.close();
  });
});

describe("1,000 waits for one fence", () => {
  it("are woken by its signal, whoever closed what meanwhile", async () => {
    const before = fds();
    const { handle, buffer } = newBuffer();
    const id = attachVgemFence(vgem, handle, "write");
    const copies = Array.from({ length: COUNT }, () => buffer.duplicate());
    const waits = copies.flatMap((copy) => [codeOf(copy.idle("read")), codeOf(copy.idle("write"))]);
    const files = Array.from({ length: COUNT }, () => exportSyncFile(buffer, "read"));
    const fences = files.flatMap((file) => [
      codeOf(file.signaled()),
      file.fence.signaled().then((error) => (error === undefined ? "no error" : error.message)),
    ]);
    for (const each of [...copies, ...files.slice(COUNT / 2)]) {
      each.close();
    }
    signalVgemFence(vgem, id);
    expect(new Set(await Promise.all(waits))).toEqual(new Set(["no error"]));
    const ends = await Promise.all(fences);
    expect(waits.length + ends.length).toBe(1000);
    expect(new Set(ends.slice(0, COUNT))).toEqual(new Set(["no error"]));
    // A file's own wait goes on after close; core's fence of it ends as canceled.
    const closed = ends.slice(COUNT);
    expect(new Set(closed.filter((_, at) => at % 2 === 0))).toEqual(new Set(["no error"]));
    expect(closed.filter((_, at) => at % 2 === 1)).not.toContain("no error");
    for (const file of files.slice(0, COUNT / 2)) {
      file.close();
    }
    buffer.close();
    vgem.closeHandle(handle);
    expect(fds()).toBeLessThanOrEqual(before + 3);
  });
});

describe("10,000 waits at once", () => {
  it("are woken by one signal, and leave nothing", async () => {
    const { handle, buffer } = newBuffer();
    const before = fds();
    const id = attachVgemFence(vgem, handle, "write");
    const waits = Array.from({ length: 10_000 }, (_, index) =>
      buffer.idle(index % 2 === 0 ? "read" : "write").then(() => "no error", String),
    );
    await new Promise(setImmediate);
    const open = fds() - before;
    // A machine so slow that 10 s have passed by now has seen the fence expire, which wakes as well.
    expect(["no error", "SYSCALL_FAILED ETIMEDOUT"]).toContain(
      refusal(() => signalVgemFence(vgem, id)),
    );
    expect(new Set(await Promise.all(waits))).toEqual(new Set(["no error"]));
    expect(open).toBe(10_000);
    expect(fds()).toBe(before);
    buffer.close();
    vgem.closeHandle(handle);
  });
});

describe("callbacks of a kernel's fence that throw", () => {
  it("keep nobody else from being told, and come out of the event loop", async () => {
    const { handle, buffer } = newBuffer();
    const before = fds();
    const id = attachVgemFence(vgem, handle, "write");
    const file = exportSyncFile(buffer, "read");
    const loose: string[] = [];
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => loose.push(error.message));
    const told: number[] = [];
    for (const each of [1, 2, 3]) {
      file.fence.addCallback(() => {
        told.push(each);
        throw new Error(`callback ${each}`);
      });
    }
    const waits = [file.fence.signaled(), file.signaled(), buffer.idle("write")];
    signalVgemFence(vgem, id);
    await Promise.all(waits);
    await new Promise((done) => setTimeout(done, 100));
    process.removeAllListeners("uncaughtException");
    for (const listener of others) {
      process.on("uncaughtException", listener);
    }
    expect(told).toEqual([1, 2, 3]);
    expect(loose.length).toBeGreaterThan(0);
    file.close();
    expect(fds()).toBeLessThanOrEqual(before);
    buffer.close();
    vgem.closeHandle(handle);
  });
});

describe("a bracket that waits in the kernel", () => {
  it("goes on under a storm of signals", () => {
    const script = fileURLToPath(new URL("signal-storm.mjs", import.meta.url));
    const said = execFileSync(process.execPath, [script, vgem.path], { encoding: "utf8" });
    expect(said).toBe("wrote 7\n");
  });
});
