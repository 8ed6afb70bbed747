/**
 * Video frame: one picture in a buffer that the camera has filled and will fill again.
 *
 * The bytes are the device's own, read in place. Giving the frame back hands its buffer to the driver for
 * another picture, so whoever wants the bytes for longer keeps the frame, or copies.
 */
import { PeerbufError } from "@peerbuf/core";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { BUFFER_FLAG, type BufferRecord } from "./v4l2-requests.ts";

/** The picture's bytes within a buffer. */
export interface FramePlane {
  /** Stays the capture's: `duplicate()` it, or share it, to have it for longer than the capture. */
  readonly buffer: LinuxBuffer;
  /** Bytes of the picture, after `offset`. */
  readonly usedBytes: number;
  readonly offset: number;
}

export class VideoFrame implements Disposable {
  /** The driver's number of the buffer, 0 and up. */
  readonly index: number;
  /** Counts every picture the device took; a gap is one that found no free buffer. */
  readonly sequence: number;
  /** Monotonic clock; undefined when the driver's clock is another or unknown. */
  readonly timestampNs: number | undefined;
  /** The driver says that the bytes are not what they should be: an interrupted transfer, say. */
  readonly isDamaged: boolean;
  readonly #planes: readonly FramePlane[];
  readonly #giveBack: (index: number) => void;
  #isOut = true;
  #isKept = false;

  constructor(
    record: BufferRecord,
    buffers: readonly LinuxBuffer[],
    giveBack: (index: number) => void,
  ) {
    this.index = record.index;
    this.sequence = record.sequence;
    const isMonotonic = (record.flags & BUFFER_FLAG.TIMESTAMP_MASK) === BUFFER_FLAG.MONOTONIC;
    this.timestampNs = isMonotonic ? record.timestampNs : undefined;
    this.isDamaged = (record.flags & BUFFER_FLAG.ERROR) !== 0;
    const planes = record.planes;
    this.#planes = buffers.map((buffer, plane) => {
      const { usedBytes = 0, offset = 0 } = planes[plane] ?? {};
      return { buffer, usedBytes: Math.max(0, usedBytes - offset), offset };
    });
    this.#giveBack = giveBack;
  }

  /** One for most nodes. `HANDLE_CLOSED` after the frame was given back. */
  get planes(): readonly FramePlane[] {
    this.#requireOut();
    return this.#planes;
  }

  /** The buffer of the first plane. `HANDLE_CLOSED` after the frame was given back. */
  get buffer(): LinuxBuffer {
    return (this.planes[0] as FramePlane).buffer;
  }

  /** Bytes of the picture in `buffer`. */
  get usedBytes(): number {
    return (this.planes[0] as FramePlane).usedBytes;
  }

  get isKept(): boolean {
    return this.#isKept;
  }

  get isOut(): boolean {
    return this.#isOut;
  }

  /** The loop does not give this frame back: `giveBack` does. The device has one buffer less meanwhile. */
  keep(): void {
    this.#requireOut();
    this.#isKept = true;
  }

  /** The device may fill the buffer again. `HANDLE_CLOSED` the second time. */
  giveBack(): void {
    this.#requireOut();
    this.#isOut = false;
    this.#giveBack(this.index);
  }

  /** Gives back unless that was done. */
  [Symbol.dispose](): void {
    if (this.#isOut) {
      this.giveBack();
    }
  }

  #requireOut(): void {
    if (!this.#isOut) {
      const message = `frame ${this.sequence} was given back: the device may be writing into it`;
      throw new PeerbufError("HANDLE_CLOSED", message);
    }
  }
}
