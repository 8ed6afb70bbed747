/** Camera pictures as dma-bufs: vivid, the kernel's virtual video device. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, writeFileSync } from "node:fs";
import { createFramework } from "@peerbuf/core";
import {
  createLinuxPlatform,
  DrmDevice,
  dmaBufExporter,
  drmNodes,
  fromFd,
  kernelImporter,
  kernelJudge,
  type LinuxBuffer,
  sharedMemory,
  udmabuf,
  V4l2Capture,
  type VideoFrame,
  videoNodes,
} from "@peerbuf/linux";
import { beforeAll, describe, expect, it } from "vitest";
import { anyDmaBuf } from "./any-dma-buf.ts";
import { openDescriptors as fds, knownAs, refusal } from "./kernel-view.ts";

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

const hashOfZeros = (lengthBytes: number): string =>
  createHash("sha256").update(new Uint8Array(lengthBytes)).digest("hex");

/** A capture of two planes from a node that has such. */
function planar(path: string): V4l2Capture | undefined {
  try {
    return new V4l2Capture(path, { ...PICTURE, pixelFormat: "NM12" });
  } catch {
    return undefined;
  }
}

let camera: string;

beforeAll(async () => {
  // The event loop's one epoll descriptor stays: it is no leak.
  using idle = anyDmaBuf(4096);
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

describe("a camera whose colours have memory of their own", () => {
  it("gives a dma-buf for each plane, all of one picture", async () => {
    const capture = videoNodes()
      .filter((path) => path !== camera)
      .map((path) => planar(path))
      .find((found) => found !== undefined);
    expect(capture?.format).toMatchObject({
      pixelFormat: "NM12",
      planes: [
        { bytesPerLine: 320, sizeBytes: 320 * 180 },
        { bytesPerLine: 320, sizeBytes: (320 * 180) / 2 },
      ],
    });
    using _ = capture;
    for await (const frame of capture?.frames(LIMIT) ?? []) {
      expect(frame.planes.map(({ usedBytes }) => usedBytes)).toEqual([57_600, 28_800]);
      const [light, colour] = frame.planes;
      expect(light?.buffer.identity).not.toEqual(colour?.buffer.identity);
      expect(hashOf(frame.buffer, 57_600)).not.toBe(hashOfZeros(57_600));
      break;
    }
    const into = [anyDmaBuf(131_072)];
    capture?.close();
    const { path = "" } = capture ?? {};
    expect(refusal(() => new V4l2Capture(path, { pixelFormat: "NM12", into }))).toBe(
      "ARGUMENT_INVALID EINVAL",
    );
    into[0]?.close();
  });
});

describe("a frame in the negotiation of others", () => {
  it("is a buffer by its descriptor, which a GPU maps while the camera has another", async () => {
    const [path = ""] = drmNodes().filter((node) => {
      using device = new DrmDevice(node);
      return device.driverName === "vgem";
    });
    using platform = createLinuxPlatform({ drm: [path] });
    using framework = createFramework({ platform, judge: kernelJudge });
    const exporter = framework.openExporter(dmaBufExporter, undefined, undefined);
    const gpu = framework.openImporter(kernelImporter, path, undefined).api;
    using capture = new V4l2Capture(camera, PICTURE);
    for await (const frame of capture.frames(LIMIT)) {
      const { sizeBytes, descriptor } = frame.buffer;
      using shared = exporter.allocate(sizeBytes, { fd: descriptor.number });
      using attachment = shared.attach(gpu.importer);
      using mapping = attachment.map("to-device");
      expect(gpu.handlesOf(mapping)[0]).toBeGreaterThan(0);
      expect(knownAs(frame.buffer)?.attached.length).toBe(1);
      const here = frame.buffer.withBytesSync("read", (bytes) => [...bytes.subarray(0, 64)]);
      expect([...(await shared.read(0, 64))]).toEqual(here);
      break;
    }
  });
});

describe("a camera that is given buffers of ours", () => {
  it("fills dma-bufs of others: no copy between camera and consumer", async () => {
    using heap = anyDmaBuf(131_072);
    using pages = udmabuf(131_072);
    using capture = new V4l2Capture(camera, { ...PICTURE, into: [heap, pages] });
    const filled = new Map<LinuxBuffer, string>();
    for await (const frame of capture.frames(LIMIT)) {
      filled.set(frame.buffer, hashOf(frame.buffer, frame.usedBytes));
      if (filled.size === 2) {
        break;
      }
    }
    expect(filled.has(heap) && filled.has(pages)).toBe(true);
    expect([...filled.values()]).not.toContain(hashOfZeros(115_200));
  });

  it("refuses what holds no picture, is no dma-buf, or is there twice", () => {
    using small = anyDmaBuf(4096);
    using large = anyDmaBuf(131_072);
    using again = large.duplicate();
    using memory = sharedMemory(131_072);
    const before = fds();
    const open = (...into: LinuxBuffer[]) => new V4l2Capture(camera, { ...PICTURE, into });
    expect(refusal(() => open(large, memory))).toBe("NOT_A_BUFFER EINVAL");
    expect(refusal(() => open(large, again))).toBe("ARGUMENT_INVALID EINVAL");
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

describe("closing a capture", () => {
  it("waits for nobody: an open CPU access keeps its buffer, and everything else is closed", async () => {
    const before = fds();
    const capture = new V4l2Capture(camera, PICTURE);
    for await (const frame of capture.frames(LIMIT)) {
      const { buffer } = frame;
      const access = buffer.beginCpuAccess("read");
      expect(refusal(() => capture.close())).toBe("BUFFER_BUSY EBUSY");
      expect(capture.isOpen).toBe(false);
      expect(access.bytes.length).toBe(buffer.sizeBytes);
      access.end();
      buffer.close();
    }
    expect(fds()).toBe(before);
  });
});

describe("a camera that is pulled out", () => {
  const DRIVER = "/sys/bus/platform/drivers/vivid";

  it("ends the frames with DEVICE_GONE, keeps what was shared, and leaves nothing open", async () => {
    const before = fds();
    const capture = new V4l2Capture(camera, PICTURE);
    let kept: LinuxBuffer | undefined;
    const pull = async (): Promise<void> => {
      for await (const frame of capture.frames(LIMIT)) {
        kept ??= frame.buffer.duplicate();
        if (existsSync(`${DRIVER}/vivid.0`)) {
          writeFileSync(`${DRIVER}/unbind`, "vivid.0");
        }
      }
    };
    expect(await refusalOf(pull())).toBe("DEVICE_GONE");
    expect(kept?.withBytesSync("read", (bytes) => bytes.length)).toBeGreaterThan(0);
    kept?.close();
    capture.close();
    expect(fds()).toBe(before);
    expect(refusal(() => new V4l2Capture(camera))).toBe("PLATFORM_MISSING ENODEV");
    writeFileSync(`${DRIVER}/bind`, "vivid.0");
  });
});
