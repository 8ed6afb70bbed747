/**
 * Video node: one /dev/videoN that captures, and the questions it answers.
 *
 * Speaks V4L2 with single-planar and multi-planar nodes alike. Streams nothing by itself: `V4l2Capture`
 * decides what is asked when.
 */
import { existsSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { Descriptor } from "../sys/descriptor.ts";
import { missingNode } from "../sys/device-node.ts";
import { ioctl } from "../sys/ioctl.ts";
import { namesIn } from "../sys/kernel-files.ts";
import {
  applyWish,
  newFormat,
  type PictureFormat,
  type PictureWish,
  readFormat,
} from "./picture-format.ts";
import {
  BUFFER_TYPE,
  BufferRecord,
  type BufferType,
  CAP,
  type Memory,
  VIDIOC_EXPBUF,
  VIDIOC_G_FMT,
  VIDIOC_QUERYCAP,
  VIDIOC_REQBUFS,
  VIDIOC_S_FMT,
  VIDIOC_STREAMOFF,
  VIDIOC_STREAMON,
} from "./v4l2-requests.ts";

const O_RDWR = 2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;

/** Paths of the video nodes of this machine, in order of their numbers; empty where there are none. */
export const videoNodes = (): string[] =>
  namesIn("/dev")
    .filter((name) => /^video\d+$/.test(name))
    .sort((one, other) => numberOf(one) - numberOf(other))
    .map((name) => `/dev/${name}`);

const numberOf = (name: string): number => Number(name.slice("video".length));

export class VideoNode implements Disposable {
  readonly path: string;
  /** As the kernel driver calls itself: `uvcvideo`, `vivid`, ... */
  readonly driverName: string;
  /** The device's own name. */
  readonly cardName: string;
  readonly type: BufferType;
  readonly #descriptor: Descriptor;

  /**
   * Opens without blocking. `PLATFORM_MISSING` when the node is not there, `SYSCALL_FAILED` with EACCES where
   * it may not be opened, ENOTTY when it is no video node, EOPNOTSUPP when it does not capture by streaming.
   */
  constructor(path: string) {
    if (!existsSync(path)) {
      throw missingNode(path, "CONFIG_VIDEO_DEV and a driver for the camera", videoNodes());
    }
    this.path = path;
    this.#descriptor = Descriptor.open(path, O_RDWR | O_NONBLOCK);
    try {
      const facts = new Uint8Array(104);
      this.ask(VIDIOC_QUERYCAP, facts, "ask what it can do");
      this.driverName = textIn(facts, 0, 16);
      this.cardName = textIn(facts, 16, 32);
      this.type = bufferTypeOf(facts, path);
    } catch (error) {
      this.#descriptor.close();
      throw error;
    }
  }

  /** Stays this object's. */
  get descriptor(): Descriptor {
    return this.#descriptor;
  }

  get isOpen(): boolean {
    return this.#descriptor.isOpen;
  }

  /** `DEVICE_GONE` when it was unplugged; otherwise `SYSCALL_FAILED` with the kernel's errno. */
  ask(request: number, argument: Uint8Array, what: string): number {
    try {
      return ioctl(this.#descriptor, request, argument, what);
    } catch (error) {
      if (error instanceof PeerbufError && error.errno === "ENODEV") {
        throw new PeerbufError("DEVICE_GONE", error.message, { cause: error });
      }
      throw error;
    }
  }

  /**
   * The format as it is, changed as wished. Drivers round sizes to what they can do, which is fine; another
   * kind of pixels than the one asked for is refused (`ARGUMENT_INVALID`).
   */
  setFormat(wish: PictureWish): PictureFormat {
    const format = newFormat(this.type);
    this.ask(VIDIOC_G_FMT, format, "ask for its format");
    if (Object.keys(wish).length > 0) {
      applyWish(format, wish);
      this.ask(VIDIOC_S_FMT, format, "set its format");
    }
    const found = readFormat(format);
    if (wish.pixelFormat !== undefined && found.pixelFormat !== wish.pixelFormat) {
      const message = `${this.path} has no pixels of ${wish.pixelFormat}; it offers ${found.pixelFormat}`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    return found;
  }

  /** Asks for buffers; 0 gives all of them back. How many there are is the driver's to say. */
  requestBuffers(count: number, memory: Memory): number {
    const argument = new DataView(new ArrayBuffer(20));
    argument.setUint32(0, count, true);
    argument.setUint32(4, this.type, true);
    argument.setUint32(8, memory, true);
    this.ask(VIDIOC_REQBUFS, bytesOf(argument), `ask for ${count} buffers`);
    return argument.getUint32(0, true);
  }

  /** A plane of a buffer as a dma-buf of its own descriptor. */
  exportBuffer(index: number, plane: number): LinuxBuffer {
    const argument = new DataView(new ArrayBuffer(64));
    argument.setUint32(0, this.type, true);
    argument.setUint32(4, index, true);
    argument.setUint32(8, plane, true);
    argument.setUint32(12, O_RDWR | O_CLOEXEC, true);
    this.ask(VIDIOC_EXPBUF, bytesOf(argument), `export buffer ${index}`);
    const fd = argument.getInt32(16, true);
    return new LinuxBuffer(new Descriptor(fd, `buffer ${index} of ${this.path}`));
  }

  setStreaming(on: boolean): void {
    const type = new Uint8Array(Uint32Array.of(this.type).buffer);
    this.ask(on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, type, on ? "start" : "stop");
  }

  record(memory: Memory, index: number): BufferRecord {
    return new BufferRecord(this.type, memory, index);
  }

  close(): void {
    this.#descriptor.close();
  }

  [Symbol.dispose](): void {
    this.#descriptor[Symbol.dispose]();
  }
}

/** capabilities @84 are those of the whole device, device_caps @88 of this node. */
function bufferTypeOf(facts: Uint8Array, path: string): BufferType {
  const view = new DataView(facts.buffer);
  const all = view.getUint32(84, true);
  const caps = (all & CAP.DEVICE_CAPS) !== 0 ? view.getUint32(88, true) : all;
  const canStream = (caps & CAP.STREAMING) !== 0;
  if (canStream && (caps & CAP.VIDEO_CAPTURE) !== 0) {
    return BUFFER_TYPE.VIDEO_CAPTURE;
  }
  if (canStream && (caps & CAP.VIDEO_CAPTURE_MPLANE) !== 0) {
    return BUFFER_TYPE.VIDEO_CAPTURE_MPLANE;
  }
  throw new PeerbufError("SYSCALL_FAILED", `${path} captures no pictures into buffers`, {
    errno: "EOPNOTSUPP",
  });
}

function textIn(bytes: Uint8Array, start: number, length: number): string {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer);
