/**
 * Picture format: what a video node delivers: size, kind of pixels, and how they lie in memory.
 *
 * struct v4l2_format with its two shapes: one plane (struct v4l2_pix_format) and several (struct
 * v4l2_pix_format_mplane). What the pixels mean is the kernel documentation's to say.
 */
import { PeerbufError } from "@peerbuf/core";
import { BUFFER_TYPE, type BufferType, PLANES_MAX } from "./v4l2-requests.ts";

const FORMAT_BYTES = 208;
/** The union in struct v4l2_format starts here. */
const PICTURE = 8;
/** In struct v4l2_pix_format_mplane: plane_fmt (20 bytes each: sizeimage @0, bytesperline @4), then num_planes. */
const PLANES = PICTURE + 20;
const PLANE_BYTES = 20;
const PLANE_COUNT = PICTURE + 180;

/** What is asked of the node; what is left out stays as it is. */
export interface PictureWish {
  readonly widthPixels?: number;
  readonly heightPixels?: number;
  /** Four characters: `YUYV`, `MJPG`, `NV12`, ... */
  readonly pixelFormat?: string;
}

export interface PlaneLayout {
  readonly bytesPerLine: number;
  /** The most a picture takes. */
  readonly sizeBytes: number;
}

export interface PictureFormat {
  readonly widthPixels: number;
  readonly heightPixels: number;
  readonly pixelFormat: string;
  /** One for most nodes; more where each colour plane has memory of its own. */
  readonly planes: readonly PlaneLayout[];
}

/** An empty struct v4l2_format of this type. */
export function newFormat(type: BufferType): Uint8Array {
  const bytes = new Uint8Array(FORMAT_BYTES);
  bytes[0] = type;
  return bytes;
}

/** Puts wishes into a format that the node gave. `ARGUMENT_INVALID` for what cannot be asked. */
export function applyWish(format: Uint8Array, wish: PictureWish): void {
  const view = viewOf(format);
  const { widthPixels, heightPixels, pixelFormat } = wish;
  if (widthPixels !== undefined) {
    view.setUint32(PICTURE, pixels("widthPixels", widthPixels), true);
  }
  if (heightPixels !== undefined) {
    view.setUint32(PICTURE + 4, pixels("heightPixels", heightPixels), true);
  }
  if (pixelFormat !== undefined) {
    view.setUint32(PICTURE + 8, fourCcOf(pixelFormat), true);
  }
  // Whatever the old format needed: the driver says what the new one does.
  if (view.getUint32(0, true) === BUFFER_TYPE.VIDEO_CAPTURE) {
    view.setUint32(PICTURE + 16, 0, true);
    view.setUint32(PICTURE + 20, 0, true);
  } else {
    format.fill(0, PLANES, PLANES + PLANES_MAX * PLANE_BYTES);
  }
}

export function readFormat(format: Uint8Array): PictureFormat {
  const view = viewOf(format);
  return {
    widthPixels: view.getUint32(PICTURE, true),
    heightPixels: view.getUint32(PICTURE + 4, true),
    pixelFormat: fourCcText(view.getUint32(PICTURE + 8, true)),
    planes: planesIn(view),
  };
}

function planesIn(view: DataView): readonly PlaneLayout[] {
  if (view.getUint32(0, true) === BUFFER_TYPE.VIDEO_CAPTURE) {
    const bytesPerLine = view.getUint32(PICTURE + 16, true);
    return [{ bytesPerLine, sizeBytes: view.getUint32(PICTURE + 20, true) }];
  }
  const count = Math.min(view.getUint8(PLANE_COUNT), PLANES_MAX);
  return Array.from({ length: count }, (_, plane) => ({
    sizeBytes: view.getUint32(PLANES + plane * PLANE_BYTES, true),
    bytesPerLine: view.getUint32(PLANES + plane * PLANE_BYTES + 4, true),
  }));
}

function pixels(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1 || value > 2 ** 16) {
    throw new PeerbufError("ARGUMENT_INVALID", `${name} is ${value}: 1 to ${2 ** 16} are possible`);
  }
  return value;
}

function fourCcOf(text: string): number {
  if (!/^[\x20-\x7e]{4}$/.test(text)) {
    throw new PeerbufError("ARGUMENT_INVALID", `pixelFormat "${text}" is not four characters`);
  }
  return new DataView(new TextEncoder().encode(text).buffer).getUint32(0, true);
}

/** The top bit marks big-endian pixels and is no part of the text. */
function fourCcText(code: number): string {
  const text = String.fromCharCode(...[0, 8, 16, 24].map((shift) => (code >>> shift) & 0x7f));
  return code >>> 31 === 1 ? `${text}-BE` : text;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset);
