/**
 * Our numbers and layouts against the kernel's own headers, as this machine's C compiler sees them. Without a
 * compiler or headers it is skipped, with the reason.
 */
import { describe, expect, it } from "vitest";
import * as dmaBuf from "../src/buffers/dma-buf-requests.ts";
import * as drm from "../src/drm/drm-requests.ts";
import { applyWish, newFormat, readFormat } from "../src/v4l2/picture-format.ts";
import * as v4l2 from "../src/v4l2/v4l2-requests.ts";
import { bytesOf, isMissing, macros } from "./c-program.ts";

const VIDEO: readonly string[] = ["linux/videodev2.h"];
const BUFFERS: readonly string[] = ["linux/dma-buf.h"];
const GRAPHICS: readonly string[] = ["drm/drm.h", "drm/drm_mode.h", "drm/vgem_drm.h"];

/** Members of a module whose names are those of macros. */
const numbersIn = (module: object, name: RegExp): Record<string, number> =>
  Object.fromEntries(Object.entries(module).filter(([key]) => name.test(key)));

const videoBytes = (type: string, fill: string): Uint8Array => bytesOf(VIDEO, type, fill);

describe.skipIf(isMissing(VIDEO))("the kernel's headers of V4L2", () => {
  it("have our numbers", () => {
    const ours = numbersIn(v4l2, /^VIDIOC_/);
    expect(Object.keys(ours).length).toBe(9);
    expect(ours).toEqual(macros(VIDEO, Object.keys(ours)));
    expect({
      V4L2_CAP_VIDEO_CAPTURE: v4l2.CAP.VIDEO_CAPTURE,
      V4L2_CAP_VIDEO_CAPTURE_MPLANE: v4l2.CAP.VIDEO_CAPTURE_MPLANE,
      V4L2_CAP_STREAMING: v4l2.CAP.STREAMING,
      V4L2_CAP_DEVICE_CAPS: v4l2.CAP.DEVICE_CAPS,
      V4L2_BUF_FLAG_ERROR: v4l2.BUFFER_FLAG.ERROR,
      V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC: v4l2.BUFFER_FLAG.MONOTONIC,
      V4L2_BUF_FLAG_TIMESTAMP_MASK: v4l2.BUFFER_FLAG.TIMESTAMP_MASK,
      V4L2_MEMORY_MMAP: v4l2.MEMORY.MMAP,
      V4L2_MEMORY_DMABUF: v4l2.MEMORY.DMABUF,
      VIDEO_MAX_PLANES: v4l2.PLANES_MAX,
    }).toEqual(
      macros(VIDEO, [
        "V4L2_CAP_VIDEO_CAPTURE",
        "V4L2_CAP_VIDEO_CAPTURE_MPLANE",
        "V4L2_CAP_STREAMING",
        "V4L2_CAP_DEVICE_CAPS",
        "V4L2_BUF_FLAG_ERROR",
        "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC",
        "V4L2_BUF_FLAG_TIMESTAMP_MASK",
        "V4L2_MEMORY_MMAP",
        "V4L2_MEMORY_DMABUF",
        "VIDEO_MAX_PLANES",
      ]),
    );
  });

  it("lay out a V4L2 buffer as we read it", () => {
    const fill = `it.index = 3; it.type = 1; it.bytesused = 4000; it.flags = 0x2040; it.sequence = 77;
      it.timestamp.tv_sec = 12; it.timestamp.tv_usec = 345678; it.memory = 1; it.length = 8192;`;
    const record = new v4l2.BufferRecord(v4l2.BUFFER_TYPE.VIDEO_CAPTURE, v4l2.MEMORY.MMAP, 0);
    const theirs = videoBytes("struct v4l2_buffer", fill);
    expect(record.bytes.length).toBe(theirs.length);
    record.bytes.set(theirs);
    expect(record.index).toBe(3);
    expect(record.flags).toBe(0x2040);
    expect(record.sequence).toBe(77);
    expect(record.timestampNs).toBe(12_345_678_000);
    expect(record.planes).toEqual([{ usedBytes: 4000, lengthBytes: 8192, offset: 0 }]);
  });

  it("lay out a V4L2 buffer of ours as we write it", () => {
    const record = new v4l2.BufferRecord(v4l2.BUFFER_TYPE.VIDEO_CAPTURE, v4l2.MEMORY.DMABUF, 5);
    record.setDmaBufs([{ fd: 42, lengthBytes: 65536 }]);
    const fill = "it.index = 5; it.type = 1; it.memory = 4; it.m.fd = 42; it.length = 65536;";
    expect(record.bytes).toEqual(videoBytes("struct v4l2_buffer", fill));
  });

  it("lay out pictures of one plane and of several as we read and write them", () => {
    const one = `it.type = 1; it.fmt.pix.width = 640; it.fmt.pix.height = 480;
      it.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV; it.fmt.pix.bytesperline = 1280; it.fmt.pix.sizeimage = 614400;`;
    const several = `it.type = 9; it.fmt.pix_mp.width = 64; it.fmt.pix_mp.height = 32;
      it.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_NV12M; it.fmt.pix_mp.num_planes = 2;
      it.fmt.pix_mp.plane_fmt[0].sizeimage = 2048; it.fmt.pix_mp.plane_fmt[0].bytesperline = 64;
      it.fmt.pix_mp.plane_fmt[1].sizeimage = 1024; it.fmt.pix_mp.plane_fmt[1].bytesperline = 65;`;
    expect(readFormat(videoBytes("struct v4l2_format", one))).toEqual({
      widthPixels: 640,
      heightPixels: 480,
      pixelFormat: "YUYV",
      planes: [{ bytesPerLine: 1280, sizeBytes: 614400 }],
    });
    expect(readFormat(videoBytes("struct v4l2_format", several))).toEqual({
      widthPixels: 64,
      heightPixels: 32,
      pixelFormat: "NM12",
      planes: [
        { bytesPerLine: 64, sizeBytes: 2048 },
        { bytesPerLine: 65, sizeBytes: 1024 },
      ],
    });
    const wished = newFormat(v4l2.BUFFER_TYPE.VIDEO_CAPTURE);
    applyWish(wished, { widthPixels: 640, heightPixels: 480, pixelFormat: "YUYV" });
    const fill = `it.type = 1; it.fmt.pix.width = 640; it.fmt.pix.height = 480;
      it.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;`;
    expect(wished).toEqual(videoBytes("struct v4l2_format", fill));
  });
});

it.skipIf(isMissing(BUFFERS))("the kernel's headers have our numbers for dma-bufs", () => {
  const ours = numbersIn(dmaBuf, /^DMA_BUF_(IOCTL|SET)/);
  expect(Object.keys(ours).length).toBe(4);
  expect(ours).toEqual(macros(BUFFERS, Object.keys(ours)));
});

it.skipIf(isMissing(GRAPHICS))("the kernel's headers have our numbers for DRM", () => {
  const ours = numbersIn(drm, /^DRM_IOCTL_/);
  expect(Object.keys(ours).length).toBe(8);
  expect(ours).toEqual(macros(GRAPHICS, Object.keys(ours)));
});

describe("a wish for a picture", () => {
  it("is refused when it is none", () => {
    const format = newFormat(v4l2.BUFFER_TYPE.VIDEO_CAPTURE);
    for (const wish of [
      { widthPixels: 0 },
      { heightPixels: 1.5 },
      { widthPixels: 2 ** 32 + 640 },
      { pixelFormat: "YUV" },
      { pixelFormat: "größe" },
    ]) {
      expect(() => applyWish(format, wish)).toThrow(
        expect.objectContaining({ code: "ARGUMENT_INVALID" }) as Error,
      );
    }
    expect(format).toEqual(newFormat(v4l2.BUFFER_TYPE.VIDEO_CAPTURE));
  });
});
