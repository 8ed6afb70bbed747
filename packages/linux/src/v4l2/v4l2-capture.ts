/**
 * V4L2 capture: pictures of a camera as dma-bufs, one after the other, without a copy.
 *
 * The driver's own buffers are exported once, at the start; or it is given dma-bufs of ours to fill. Frames
 * come in the event loop, no thread waits. The device writes whatever buffer it has back, so a frame's
 * bytes hold still only until it is given back. What is in the pictures, and controls, are elsewhere.
 */
import { PeerbufError } from "@peerbuf/core";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { POLL_IN, ready } from "../sys/poller.ts";
import type { ReadinessOptions } from "../sys/wait-limits.ts";
import type { PictureFormat, PictureWish } from "./picture-format.ts";
import { MEMORY, type Memory, VIDIOC_DQBUF, VIDIOC_QBUF } from "./v4l2-requests.ts";
import { VideoFrame } from "./video-frame.ts";
import { VideoNode } from "./video-node.ts";

/** VIDEO_MAX_FRAME. */
const BUFFERS_MAX = 32;
const BUFFER_COUNT = 4;

export interface V4l2CaptureOptions extends PictureWish {
  /** 1 to 32; the driver may make more of it. 4 unless told otherwise. */
  readonly bufferCount?: number;
  /**
   * dma-bufs that the device fills instead of its own, one a buffer; they stay the caller's. For nodes with
   * one plane. `SIZE_INVALID` when one is too small for a picture, `NOT_A_BUFFER` for a memfd, `ARGUMENT_INVALID`
   * for one that is there twice.
   */
  readonly into?: readonly LinuxBuffer[];
}

export class V4l2Capture implements Disposable {
  readonly path: string;
  readonly driverName: string;
  readonly cardName: string;
  readonly format: PictureFormat;
  readonly #node: VideoNode;
  readonly #memory: Memory;
  /** By index, then by plane. */
  #buffers: readonly (readonly LinuxBuffer[])[] = [];
  readonly #closing = new AbortController();
  readonly #out = new Set<number>();
  #isStreaming = false;
  #isRead = false;

  /**
   * Opens the node, sets the format and makes the buffers; nothing is captured before `frames`. As `VideoNode`:
   * `PLATFORM_MISSING`, `SYSCALL_FAILED` (EBUSY: somebody else captures). Nothing stays open when it throws.
   */
  constructor(path: string, { bufferCount, into, ...wish }: V4l2CaptureOptions = {}) {
    const count = into?.length ?? bufferCount ?? BUFFER_COUNT;
    checkCount(count);
    this.#node = new VideoNode(path);
    this.#memory = into === undefined ? MEMORY.MMAP : MEMORY.DMABUF;
    try {
      ({ path: this.path, driverName: this.driverName, cardName: this.cardName } = this.#node);
      this.format = this.#node.setFormat(wish);
      this.#buffers = into === undefined ? this.#exportBuffers(count) : this.#useBuffers(into);
    } catch (error) {
      this.#giveUp();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#node.isOpen;
  }

  /** Buffers that the device and the user share. */
  get bufferCount(): number {
    return this.#buffers.length;
  }

  /**
   * Starts the device and gives its pictures as they come; stops it when the loop is left, and ends when the
   * capture is closed. A frame is given back when the next one is asked for, unless it was kept.
   * `BUFFER_BUSY` when every buffer is kept, `WRONG_ORDER` for two loops at once, `WAIT_TIMED_OUT` per frame,
   * `WAIT_INTERRUPTED`, `DEVICE_GONE`.
   */
  async *frames(options: ReadinessOptions = {}): AsyncGenerator<VideoFrame, void, undefined> {
    if (this.#isRead) {
      throw new PeerbufError("WRONG_ORDER", `somebody else reads the frames of ${this.path}`);
    }
    this.#isRead = true;
    try {
      this.#start();
      for (let frame = await this.#next(options); frame; frame = await this.#next(options)) {
        try {
          yield frame;
        } finally {
          if (frame.isOut && !frame.isKept) {
            frame.giveBack();
          }
        }
      }
    } finally {
      this.#isRead = false;
      this.#stop();
    }
  }

  /**
   * Stops the device and gives everything back. Frames that are out lose their buffers; `BUFFER_BUSY` when a
   * CPU access to one of these is open, and everything else is closed then. `HANDLE_CLOSED` the second time.
   */
  close(): void {
    this.#node.descriptor.number;
    this.#closing.abort();
    this.#giveUp();
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }

  /** With every buffer that no frame holds. */
  #start(): void {
    this.#requireQueued();
    for (const index of this.#buffers.keys()) {
      if (!this.#out.has(index)) {
        this.#queue(index);
      }
    }
    this.#node.setStreaming(true);
    this.#isStreaming = true;
  }

  /** Every buffer is ours again. A device that was pulled out has stopped already. */
  #stop(): void {
    if (this.#isStreaming) {
      this.#isStreaming = false;
      unlessGone(() => this.#node.setStreaming(false));
    }
  }

  /** The next picture; undefined once the capture is closed. */
  async #next({ signal, timeoutMs }: ReadinessOptions): Promise<VideoFrame | undefined> {
    const closing = this.#closing.signal;
    const ended = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    while (!closing.aborted) {
      this.#requireQueued();
      try {
        await ready(this.#node.descriptor, POLL_IN, { signal: ended, timeoutMs });
      } catch (error) {
        if (closing.aborted) {
          return undefined;
        }
        throw error;
      }
      const frame = closing.aborted ? undefined : this.#dequeue();
      if (frame !== undefined) {
        return frame;
      }
    }
    return undefined;
  }

  /** undefined when there is none after all. */
  #dequeue(): VideoFrame | undefined {
    const record = this.#node.record(this.#memory, 0);
    try {
      this.#node.ask(VIDIOC_DQBUF, record.bytes, "take a picture");
    } catch (error) {
      if (error instanceof PeerbufError && error.errno === "EAGAIN") {
        return undefined;
      }
      throw error;
    }
    const buffers = this.#buffers[record.index] ?? [];
    this.#out.add(record.index);
    return new VideoFrame(record, buffers, (index) => this.#takeBack(index));
  }

  #takeBack(index: number): void {
    this.#out.delete(index);
    if (this.#isStreaming) {
      unlessGone(() => this.#queue(index));
    }
  }

  #queue(index: number): void {
    const record = this.#node.record(this.#memory, index);
    if (this.#memory === MEMORY.DMABUF) {
      const buffers = this.#buffers[index] ?? [];
      record.setDmaBufs(
        buffers.map(({ descriptor, sizeBytes }) => ({
          fd: descriptor.number,
          lengthBytes: sizeBytes,
        })),
      );
    }
    this.#node.ask(VIDIOC_QBUF, record.bytes, `hand buffer ${index} to the device`);
  }

  #requireQueued(): void {
    if (this.#out.size === this.#buffers.length) {
      const message = `all ${this.#out.size} buffers of ${this.path} are kept: give one back first`;
      throw new PeerbufError("BUFFER_BUSY", message);
    }
  }

  #exportBuffers(wanted: number): readonly (readonly LinuxBuffer[])[] {
    const count = this.#node.requestBuffers(wanted, this.#memory);
    const made: LinuxBuffer[][] = [];
    // Known from the start, so that a failure gives back those that were made.
    this.#buffers = made;
    for (let index = 0; index < count; index++) {
      const planes: LinuxBuffer[] = [];
      made.push(planes);
      for (let plane = 0; plane < this.format.planes.length; plane++) {
        planes.push(this.#node.exportBuffer(index, plane));
      }
    }
    return made;
  }

  #useBuffers(into: readonly LinuxBuffer[]): readonly (readonly LinuxBuffer[])[] {
    const [plane, second] = this.format.planes;
    if (second !== undefined) {
      const message = `${this.path} has ${this.format.planes.length} planes a picture; \`into\` is for one`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    checkTargets(into, plane?.sizeBytes ?? 0);
    const count = this.#node.requestBuffers(into.length, this.#memory);
    return into.slice(0, count).map((buffer) => [buffer]);
  }

  /** The last close of the node frees the driver's buffers; those shared elsewhere live on there. */
  #giveUp(): void {
    try {
      this.#stop();
      if (this.#memory === MEMORY.MMAP) {
        closeAll(this.#buffers.flat());
      }
    } finally {
      this.#node.close();
    }
  }
}

/** All of them, whatever one of them says. */
function closeAll([first, ...others]: readonly LinuxBuffer[]): void {
  try {
    first?.[Symbol.dispose]();
  } finally {
    if (others.length > 0) {
      closeAll(others);
    }
  }
}

function unlessGone(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof PeerbufError && error.code === "DEVICE_GONE")) {
      throw error;
    }
  }
}

/** Each a dma-buf of its own that holds a picture. */
function checkTargets(into: readonly LinuxBuffer[], pictureBytes: number): void {
  for (const [index, buffer] of into.entries()) {
    if (buffer.kind !== "dma-buf") {
      throw new PeerbufError("NOT_A_BUFFER", `buffer ${index} is a memfd: make a udmabuf of it`);
    }
    if (buffer.sizeBytes < pictureBytes) {
      const message = `buffer ${index} of ${buffer.sizeBytes} bytes holds no picture of ${pictureBytes}`;
      throw new PeerbufError("SIZE_INVALID", message);
    }
    if (into.findIndex((other) => other.isSameAs(buffer)) !== index) {
      const message = `buffer ${index} is there twice: pictures would overwrite each other`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
  }
}

function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > BUFFERS_MAX) {
    const message = `${count} buffers: 1 to ${BUFFERS_MAX} are possible`;
    throw new PeerbufError("ARGUMENT_INVALID", message);
  }
}
