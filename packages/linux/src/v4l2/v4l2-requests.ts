/**
 * V4L2 requests: the ioctls of a video node that capture needs, and their structures
 * (include/uapi/linux/videodev2.h, 6.12, 64-bit: struct v4l2_buffer has 88 bytes there).
 *
 * Layouts only; when which is asked is said by `V4l2Capture`.
 */
import { request } from "../sys/ioctl.ts";
import { addressOf } from "../sys/libc.ts";

export const VIDIOC_QUERYCAP: number = request("read", "V", 0, 104);
export const VIDIOC_G_FMT: number = request("both", "V", 4, 208);
export const VIDIOC_S_FMT: number = request("both", "V", 5, 208);
export const VIDIOC_REQBUFS: number = request("both", "V", 8, 20);
export const VIDIOC_QBUF: number = request("both", "V", 15, 88);
export const VIDIOC_EXPBUF: number = request("both", "V", 16, 64);
export const VIDIOC_DQBUF: number = request("both", "V", 17, 88);
export const VIDIOC_STREAMON: number = request("write", "V", 18, 4);
export const VIDIOC_STREAMOFF: number = request("write", "V", 19, 4);

/** Bits of v4l2_capability. */
export const CAP = {
  VIDEO_CAPTURE: 1,
  VIDEO_CAPTURE_MPLANE: 0x1000,
  STREAMING: 0x400_0000,
  DEVICE_CAPS: 0x8000_0000,
} as const;

/** enum v4l2_buf_type: how a node speaks of its pictures. */
export const BUFFER_TYPE = { VIDEO_CAPTURE: 1, VIDEO_CAPTURE_MPLANE: 9 } as const;
export type BufferType = (typeof BUFFER_TYPE)[keyof typeof BUFFER_TYPE];

/** enum v4l2_memory: whose memory it is. */
export const MEMORY = { MMAP: 1, DMABUF: 4 } as const;
export type Memory = (typeof MEMORY)[keyof typeof MEMORY];

/** Bits of v4l2_buffer.flags. */
export const BUFFER_FLAG = { ERROR: 0x40, MONOTONIC: 0x2000, TIMESTAMP_MASK: 0xe000 } as const;

/** VIDEO_MAX_PLANES. */
export const PLANES_MAX = 8;
/** struct v4l2_plane: bytesused @0, length @4, m (u64) @8, data_offset @16. */
const PLANE_BYTES = 64;
const BUFFER_BYTES = 88;

/** A plane of a buffer: where its bytes are and how many of them are picture. */
export interface PlaneRecord {
  readonly usedBytes: number;
  readonly lengthBytes: number;
  /** Bytes of header before the picture. */
  readonly offset: number;
}

/** struct v4l2_buffer, with its planes beside it where the node has them. */
export class BufferRecord {
  /** For the ioctl. Points into `#planes`, which this object keeps alive. */
  readonly bytes: Uint8Array = new Uint8Array(BUFFER_BYTES);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #planes: Uint8Array | undefined;

  constructor(type: BufferType, memory: Memory, index: number) {
    this.#view.setUint32(0, index, true);
    this.#view.setUint32(4, type, true);
    this.#view.setUint32(60, memory, true);
    if (type === BUFFER_TYPE.VIDEO_CAPTURE_MPLANE) {
      this.#planes = new Uint8Array(PLANES_MAX * PLANE_BYTES);
      this.#view.setBigUint64(64, addressOf(this.#planes), true);
      this.#view.setUint32(72, PLANES_MAX, true);
    }
  }

  /** For QBUF with memory of ours: one dma-buf a plane. */
  setDmaBufs(buffers: readonly { readonly fd: number; readonly lengthBytes: number }[]): void {
    if (this.#planes === undefined) {
      const [only] = buffers;
      this.#view.setInt32(64, only?.fd ?? -1, true);
      this.#view.setUint32(72, only?.lengthBytes ?? 0, true);
      return;
    }
    const planes = new DataView(this.#planes.buffer);
    this.#view.setUint32(72, buffers.length, true);
    buffers.forEach(({ fd, lengthBytes }, plane) => {
      planes.setUint32(plane * PLANE_BYTES + 4, lengthBytes, true);
      planes.setInt32(plane * PLANE_BYTES + 8, fd, true);
    });
  }

  get index(): number {
    return this.#view.getUint32(0, true);
  }

  get flags(): number {
    return this.#view.getUint32(12, true);
  }

  get sequence(): number {
    return this.#view.getUint32(56, true);
  }

  /** ns, from seconds and microseconds. */
  get timestampNs(): number {
    const seconds = Number(this.#view.getBigInt64(24, true));
    return seconds * 1e9 + Number(this.#view.getBigInt64(32, true)) * 1000;
  }

  get planes(): readonly PlaneRecord[] {
    if (this.#planes === undefined) {
      const usedBytes = this.#view.getUint32(8, true);
      return [{ usedBytes, lengthBytes: this.#view.getUint32(72, true), offset: 0 }];
    }
    const planes = new DataView(this.#planes.buffer);
    const count = Math.min(this.#view.getUint32(72, true), PLANES_MAX);
    return Array.from({ length: count }, (_, plane) => ({
      usedBytes: planes.getUint32(plane * PLANE_BYTES, true),
      lengthBytes: planes.getUint32(plane * PLANE_BYTES + 4, true),
      offset: planes.getUint32(plane * PLANE_BYTES + 16, true),
    }));
  }
}
