/**
 * DRM device: buffers of a GPU, and other people's buffers on it (PRIME), over any DRM node.
 *
 * A handle is the device's own name for a buffer. One buffer has one handle on a node, however often it is
 * imported; `close` gives back every handle that was taken here.
 */
import { existsSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import { checkSize } from "../buffers/buffer-size.ts";
import { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { Descriptor } from "../sys/descriptor.ts";
import { missingNode } from "../sys/device-node.ts";
import { ioctl } from "../sys/ioctl.ts";
import { namesIn } from "../sys/kernel-files.ts";
import { addressOf } from "../sys/libc.ts";
import {
  DRM_CAP_PRIME,
  DRM_IOCTL_GEM_CLOSE,
  DRM_IOCTL_GET_CAP,
  DRM_IOCTL_MODE_CREATE_DUMB,
  DRM_IOCTL_PRIME_FD_TO_HANDLE,
  DRM_IOCTL_PRIME_HANDLE_TO_FD,
  DRM_IOCTL_VERSION,
  PRIME_CAP_EXPORT,
  PRIME_CAP_IMPORT,
  PRIME_FLAGS,
} from "./drm-requests.ts";

const FOLDER = "/dev/dri";
const O_RDWR = 2;
const NAME_BYTES_MAX = 64;

/** A buffer on a node: its handle, and how it lies in memory. */
export interface DumbBuffer {
  readonly handle: number;
  /** Bytes from one line to the next. */
  readonly pitchBytes: number;
  readonly sizeBytes: number;
}

/** Paths of the DRM nodes of this machine, cards before render nodes; empty where there are none. */
export const drmNodes = (): string[] =>
  namesIn(FOLDER)
    .filter((name) => /^(card|renderD)\d+$/.test(name))
    .map((name) => `${FOLDER}/${name}`);

export class DrmDevice implements Disposable {
  readonly path: string;
  /** As the kernel driver calls itself: `amdgpu`, `i915`, `virtio_gpu`, `vgem`, ... */
  readonly driverName: string;
  readonly canImport: boolean;
  readonly canExport: boolean;
  readonly #node: Descriptor;
  /** Taken here and not given back. */
  readonly #handles = new Set<number>();

  /** `PLATFORM_MISSING` when the node is not there, `SYSCALL_FAILED` with EACCES where it may not be opened. */
  constructor(path: string) {
    if (!existsSync(path)) {
      throw missingNode(path, "CONFIG_DRM and a driver for the GPU", drmNodes());
    }
    this.path = path;
    this.#node = Descriptor.open(path, O_RDWR);
    try {
      this.driverName = this.#readDriverName();
      const prime = this.#readPrime();
      this.canImport = (prime & PRIME_CAP_IMPORT) !== 0;
      this.canExport = (prime & PRIME_CAP_EXPORT) !== 0;
    } catch (error) {
      this.#node.close();
      throw error;
    }
  }

  /** For requests of this driver's own. Stays this object's. */
  get node(): Descriptor {
    return this.#node;
  }

  get isOpen(): boolean {
    return this.#node.isOpen;
  }

  /** Handles that were taken here, by whichever call, and not given back. */
  get handleCount(): number {
    return this.#handles.size;
  }

  /**
   * Memory for a picture, zeroed, on a card node. The driver rounds pitch and size as its hardware needs.
   * `MEMORY_EXHAUSTED`, `ARGUMENT_INVALID` for what is no number of pixels; `SYSCALL_FAILED`: ENOSYS where it
   * has none, EINVAL for sizes it cannot do, EACCES on a render node.
   */
  createDumb(widthPixels: number, heightPixels: number, bitsPerPixel = 32): DumbBuffer {
    const what = `make a dumb buffer of ${widthPixels} x ${heightPixels} at ${bitsPerPixel} bits`;
    requireCounts([widthPixels, heightPixels, bitsPerPixel], what);
    const argument = new DataView(new ArrayBuffer(32));
    argument.setUint32(0, heightPixels, true);
    argument.setUint32(4, widthPixels, true);
    argument.setUint32(8, bitsPerPixel, true);
    try {
      ioctl(this.#node, DRM_IOCTL_MODE_CREATE_DUMB, bytesOf(argument), what);
    } catch (error) {
      throw asMemoryError(error);
    }
    const handle = argument.getUint32(16, true);
    this.#handles.add(handle);
    return {
      handle,
      pitchBytes: argument.getUint32(20, true),
      sizeBytes: Number(argument.getBigUint64(24, true)),
    };
  }

  /** The buffer behind a handle as a dma-buf: the same one every time. `SYSCALL_FAILED`: ENOENT. */
  exportHandle(handle: number): LinuxBuffer {
    checkHandle(handle);
    const argument = primeArgument(handle, PRIME_FLAGS, -1);
    ioctl(this.#node, DRM_IOCTL_PRIME_HANDLE_TO_FD, bytesOf(argument), `export handle ${handle}`);
    const fd = argument.getInt32(8, true);
    return new LinuxBuffer(new Descriptor(fd, `${this.driverName} buffer ${handle}`));
  }

  /**
   * Attaches the device to the buffer and maps it there. The same buffer gives the same handle every time, and
   * one `closeHandle` gives it back; a buffer of this very device gives its own handle. `NOT_A_BUFFER` for a
   * memfd, else the attach or map error of the driver.
   */
  importBuffer(buffer: LinuxBuffer): number {
    checkSize(buffer.sizeBytes);
    if (buffer.kind !== "dma-buf") {
      const message = `${this.path} takes dma-bufs, and a memfd is none: make a udmabuf of it`;
      throw new PeerbufError("NOT_A_BUFFER", message);
    }
    const argument = primeArgument(0, 0, buffer.descriptor.number);
    ioctl(this.#node, DRM_IOCTL_PRIME_FD_TO_HANDLE, bytesOf(argument), "import a dma-buf");
    const handle = argument.getUint32(0, true);
    this.#handles.add(handle);
    return handle;
  }

  /** Gives a handle back: the device lets the buffer go. `SYSCALL_FAILED` (EINVAL) for one it has not. */
  closeHandle(handle: number): void {
    checkHandle(handle);
    const argument = new DataView(new ArrayBuffer(8));
    argument.setUint32(0, handle, true);
    ioctl(this.#node, DRM_IOCTL_GEM_CLOSE, bytesOf(argument), `close handle ${handle}`);
    this.#handles.delete(handle);
  }

  /** Gives back every handle, then the node. `HANDLE_CLOSED` the second time. */
  close(): void {
    this.#node.number;
    try {
      // Closing the node would do, but somebody may hold a duplicate of it.
      for (const handle of [...this.#handles]) {
        this.closeHandle(handle);
      }
    } finally {
      this.#node.close();
    }
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.#node.isOpen) {
      this.close();
    }
  }

  /** struct drm_version: name_len @16, name pointer @24. */
  #readDriverName(): string {
    const name = new Uint8Array(NAME_BYTES_MAX);
    const argument = new DataView(new ArrayBuffer(64));
    argument.setBigUint64(16, BigInt(name.length), true);
    argument.setBigUint64(24, addressOf(name), true);
    ioctl(this.#node, DRM_IOCTL_VERSION, bytesOf(argument), "ask for its driver");
    const length = Math.min(Number(argument.getBigUint64(16, true)), name.length);
    return new TextDecoder().decode(name.subarray(0, length));
  }

  #readPrime(): number {
    const argument = new DataView(new ArrayBuffer(16));
    argument.setBigUint64(0, DRM_CAP_PRIME, true);
    ioctl(this.#node, DRM_IOCTL_GET_CAP, bytesOf(argument), "ask whether it shares buffers");
    return Number(argument.getBigUint64(8, true));
  }
}

const COUNT_MAX = 2 ** 32 - 1;

function requireCounts(values: readonly number[], what: string): void {
  if (!values.every((value) => Number.isInteger(value) && value >= 1 && value <= COUNT_MAX)) {
    throw new PeerbufError("ARGUMENT_INVALID", `${what}: 1 to ${COUNT_MAX} are possible`);
  }
}

/** `ARGUMENT_INVALID` for what cannot be a handle: cut to 32 bits it could be another one. */
export function checkHandle(handle: number): void {
  requireCounts([handle], `handle ${handle}`);
}

function asMemoryError(error: unknown): unknown {
  return error instanceof PeerbufError && error.errno === "ENOMEM"
    ? new PeerbufError("MEMORY_EXHAUSTED", error.message, { cause: error })
    : error;
}

/** struct drm_prime_handle: handle @0, flags @4, fd @8. */
function primeArgument(handle: number, flags: number, fd: number): DataView {
  const argument = new DataView(new ArrayBuffer(12));
  argument.setUint32(0, handle, true);
  argument.setUint32(4, flags, true);
  argument.setInt32(8, fd, true);
  return argument;
}

const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer);
