/**
 * DRM memory: memory of a GPU's own, as a picture without a screen (a dumb buffer), exported as a dma-buf.
 *
 * Every driver of a display gives such pictures without a user-space driver of its own. One that has none, or none
 * that a process can map, is said so: that is no failure of anything.
 */
import { PeerbufError } from "@peerbuf/core";
import type { LinuxBuffer } from "@peerbuf/linux";
import { LIVE_BYTES } from "./live-ground.ts";
import type { Linux, LiveSource } from "./live-memory.ts";
import type { Missing } from "./live-transfer.ts";
import type { DrmNode } from "./to-drm.ts";

/** A picture of `LIVE_BYTES`: 4 bytes a pixel, lines of 4 KiB, which suits every driver's alignment. */
const WIDTH_PIXELS = 1024;
const BITS_PER_PIXEL = 32;
const HEIGHT_PIXELS: number = LIVE_BYTES / (WIDTH_PIXELS * (BITS_PER_PIXEL / 8));

/** The device's memory, tried once; or why there is none to be had. */
export function drmMemory(linux: Linux, node: DrmNode): LiveSource | Missing {
  const what = `memory of ${node.driverName}`;
  const { cardPath } = node;
  if (cardPath === undefined) {
    return {
      what,
      cause: `${node.path} is a render node, and pictures are made at the card's`,
      remedy: "a driver with a display part; in a container, pass /dev/dri/cardN in",
    };
  }
  try {
    using trial = pictureOf(linux, cardPath);
    trial.withBytesSync("read", () => undefined);
    return { name: what, allocate: () => pictureOf(linux, cardPath) };
  } catch (error) {
    if (!(error instanceof PeerbufError)) {
      throw error;
    }
    return { what: `${what} (${cardPath})`, cause: causeOf(error), remedy: remedyFor(error) };
  }
}

/** The buffer outlives the node and the handle that it was made with. */
function pictureOf({ DrmDevice }: Linux, cardPath: string): LinuxBuffer {
  using device = new DrmDevice(cardPath);
  const { handle } = device.createDumb(WIDTH_PIXELS, HEIGHT_PIXELS, BITS_PER_PIXEL);
  const picture = device.exportHandle(handle);
  if (picture.sizeBytes !== LIVE_BYTES) {
    const message = `a picture of ${LIVE_BYTES} bytes takes ${picture.sizeBytes}`;
    picture.close();
    throw new PeerbufError("SIZE_INVALID", message);
  }
  return picture;
}

const NO_RIGHTS: ReadonlySet<string> = new Set(["EACCES", "EPERM"]);

const causeOf = ({ errno, message }: PeerbufError): string =>
  NO_RIGHTS.has(errno) ? `it may not be opened (${errno})` : message;

const remedyFor = ({ errno }: PeerbufError): string =>
  NO_RIGHTS.has(errno)
    ? "run it as root, or join the group video"
    : "none: this driver gives such memory to its own user-space driver only";
