/** Camera pictures as dma-bufs: vivid, the kernel's virtual video device. */
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import {
  dmaHeap,
  fromFd,
  type LinuxBuffer,
  udmabuf,
  V4l2Capture,
  type VideoFrame,
  videoNodes,
} from "@peerbuf/linux";
import { beforeAll, describe, expect, it } from "vitest";
import { openDescriptors as fds, refusal } from "./kernel-view.ts";

const PICTURE = { widthPixels: 320, heightPixels: 180, pixelFormat: "YUYV" };
const LIMIT = { timeoutMs: 60_000 };

const refusalOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error: { code?: unknown }) => error.code,
  );

const hashOf = (buffer: LinuxBuffer, usedBytes: number): string =>
  buffer.withBytesSync("read", (bytes) =>
    createHash("sha256").update(bytes.subarray(0, usedBytes)).digest("hex"),
  );

let camera: string;

beforeAll(async () => {
  // The event loop's one epoll descriptor stays: it is no leak.
  using idle = dmaHeap("system", 4096);
  await idle.idle("read");
  const found = videoNodes().find((path) => {
    try {
      using capture = new V4l2Capture(path, { bufferCount: 2 });
      return capture.driverName === "vivid";
    } catch {
      return false;
    }
  });
  if (found === undefined) {
    throw new Error(`no vivid camera among ${videoNodes()}`);
  }
  camera = found;
});

describe("frames of a camera", () => {
  it("are read in place, change over time, and give back every descriptor", async () => {
    const before = fds();
    const capture = new V4l2Capture(camera, PICTURE);
    expect(capture.format).toMatchObject(PICTURE);
    expect(capture.format.planes).toEqual([{ bytesPerLine: 640, sizeBytes: 320 * 180 * 2 }]);

    const hashes = new Set<string>();
    const frames: { sequence: number; timestampNs: number | undefined; exporter: string }[] = [];
    for await (const frame of capture.frames(LIMIT)) {
      expect(frame.usedBytes).toBe(320 * 180 * 2);
      expect(frame.isDamaged).toBe(false);
      hashes.add(hashOf(frame.buffer, frame.usedBytes));
      const { sequence, timestampNs } = frame;
      frames.push({ sequence, timestampNs, exporter: frame.buffer.exporterName });
      if (frames.length === 6) {
        break;
      }
    }

    expect(hashes.size).toBeGreaterThan(1);
    const sequences = frames.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].sort((one, other) => one - other));
    const times = frames.map(({ timestampNs }) => timestampNs ?? -1);
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(times[0]).toBeGreaterThan(0);
    expect(new Set(frames.map(({ exporter }) => exporter)).size).toBe(1);
    capture.close();
    expect(fds()).toBe(before);
  });

  it("are dma-bufs: the same bytes through another descriptor, also after the camera is closed", async () => {
    const capture = new V4l2Capture(camera, PICTURE);
    let other: LinuxBuffer | undefined;
    let hash = "";
    for await (const frame of capture.frames(LIMIT)) {
      expect(frame.buffer.kind).toBe("dma-buf");
      frame.keep();
      other = fromFd(frame.buffer.descriptor.number);
      expect(other.isSameAs(frame.buffer)).toBe(true);
      hash = hashOf(frame.buffer, frame.usedBytes);
      break;
    }
    capture.close();
    expect(other === undefined ? "" : hashOf(other, 320 * 180 * 2)).toBe(hash);
    other?.close();
  });

  it("that were given back are not for reading any more", async () => {
    using capture = new V4l2Capture(camera, PICTURE);
    const seen: VideoFrame[] = [];
    for await (const frame of capture.frames(LIMIT)) {
      seen.push(frame);
      if (seen.length === 2) {
        break;
      }
    }
    expect(refusal(() => seen[0]?.buffer)).toBe("HANDLE_CLOSED EBADF");
    expect(refusal(() => seen[1]?.giveBack())).toBe("HANDLE_CLOSED EBADF");
  });

  it("can be kept until none is left, and go on when one is given back", async () => {
    using capture = new V4l2Capture(camera, { ...PICTURE, bufferCount: 3 });
    const kept: VideoFrame[] = [];
    const keepAll = async (): Promise<void> => {
      for await (const frame of capture.frames(LIMIT)) {
        frame.keep();
        kept.push(frame);
      }
    };
    expect(await refusalOf(keepAll())).toBe("BUFFER_BUSY");
    expect(kept.length).toBe(capture.bufferCount);
    expect(new Set(kept.map(({ index }) => index)).size).toBe(capture.bufferCount);

    kept[0]?.giveBack();
    for await (const frame of capture.frames(LIMIT)) {
      expect(frame.index).toBe(kept[0]?.index);
      break;
    }
  });

  it("end when the capture is closed by somebody else", async () => {
    const capture = new V4l2Capture(camera, PICTURE);
    let count = 0;
    for await (const _ of capture.frames(LIMIT)) {
      count++;
      setTimeout(() => capture[Symbol.dispose](), 0);
    }
    expect(count).toBeGreaterThan(0);
    expect(refusal(() => capture.close())).toBe("HANDLE_CLOSED EBADF");
  });

  it("can be given up by an abort, and asked for again", async () => {
    using capture = new V4l2Capture(camera, PICTURE);
    const abort = new AbortController();
    abort.abort();
    const first = capture.frames({ signal: abort.signal }).next();
    expect(await refusalOf(first)).toBe("WAIT_INTERRUPTED");
    const again = capture.frames(LIMIT);
    expect((await again.next()).value?.usedBytes).toBe(320 * 180 * 2);
    expect(await refusalOf(capture.frames(LIMIT).next())).toBe("WRONG_ORDER");
    await again.return();
  });
});

describe("a camera that is given buffers of ours", () => {
  it("fills a heap buffer and a udmabuf: no copy between camera and consumer", async () => {
    using heap = dmaHeap("system", 131_072);
    using pages = udmabuf(131_072);
    using capture = new V4l2Capture(camera, { ...PICTURE, into: [heap, pages] });
    const filled = new Map<LinuxBuffer, string>();
    for await (const frame of capture.frames(LIMIT)) {
      filled.set(frame.buffer, hashOf(frame.buffer, frame.usedBytes));
      if (filled.size === 2) {
        break;
      }
    }
    const empty = createHash("sha256").update(new Uint8Array(115_200)).digest("hex");
    expect(filled.has(heap) && filled.has(pages)).toBe(true);
    expect([...filled.values()]).not.toContain(empty);
  });

  it("refuses what holds no picture", () => {
    using small = dmaHeap("system", 4096);
    const before = fds();
    expect(refusal(() => new V4l2Capture(camera, { ...PICTURE, into: [small] }))).toBe(
      "SIZE_INVALID EINVAL",
    );
    expect(fds()).toBe(before);
  });
});

describe("what cannot be captured", () => {
  it("is refused with a typed error, and nothing stays open", () => {
    const before = fds();
    expect(refusal(() => new V4l2Capture("/dev/video999"))).toBe("PLATFORM_MISSING ENODEV");
    expect(refusal(() => new V4l2Capture("/dev/null"))).toBe("SYSCALL_FAILED ENOTTY");
    expect(refusal(() => new V4l2Capture(camera, { pixelFormat: "ZZZZ" }))).toBe(
      "ARGUMENT_INVALID EINVAL",
    );
    expect(refusal(() => new V4l2Capture(camera, { bufferCount: 33 }))).toBe(
      "ARGUMENT_INVALID EINVAL",
    );
    const others = videoNodes().filter((path) => path !== camera);
    const answers = others.map((path) =>
      refusal(() => {
        using _ = new V4l2Capture(path);
      }),
    );
    expect(answers).toContain("SYSCALL_FAILED EOPNOTSUPP");
    expect(fds()).toBe(before);
  });

  it("is a camera that somebody else captures from", () => {
    using capture = new V4l2Capture(camera, PICTURE);
    expect(capture.isOpen).toBe(true);
    expect(refusal(() => new V4l2Capture(camera, PICTURE))).toBe("SYSCALL_FAILED EBUSY");
    closeSync(openSync(camera, "r"));
  });
});
