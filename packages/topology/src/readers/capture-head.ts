/**
 * Capture head: the first bytes of a capture file, by which its format is recognised.
 *
 * Compression is looked through, so that a reader sees what the file is and not how it is packed.
 */
import { open } from "node:fs/promises";
import { constants, gunzipSync } from "node:zlib";
import { InputError } from "@peerbuf/core";

/** Bytes looked at: a tar header is 512, and text shows itself much earlier. */
const HEAD_BYTES = 4096;

/** Formats that are recognised only to say what to do about them. */
const PACKED_OTHERWISE: readonly (readonly [string, readonly number[], string])[] = [
  ["bzip2", [0x42, 0x5a, 0x68], "bunzip2"],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a], "unxz"],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd], "unzstd"],
  ["zip", [0x50, 0x4b, 0x03, 0x04], "unzip"],
];

export interface CaptureHead {
  /** The file as the person named it. */
  readonly path: string;
  /** The first bytes, after decompression; at least one. */
  readonly bytes: Uint8Array;
  readonly isGzip: boolean;
}

/** @throws InputError when the file is empty, unreadable, or packed in a way that is not read here */
export async function readHead(path: string): Promise<CaptureHead> {
  const raw = await firstBytes(path);
  if (raw.length === 0) {
    throw new InputError({
      source: path,
      cause: "the file is empty",
      remedy: "Capture the machine again",
    });
  }
  const packed = PACKED_OTHERWISE.find(([, magic]) => startsWith(raw, magic));
  if (packed !== undefined) {
    throw new InputError({
      source: path,
      cause: `the file is packed with ${packed[0]}, which is not read here`,
      remedy: `Unpack it with ${packed[2]} first, or pack it with gzip`,
    });
  }
  return startsWith(raw, [0x1f, 0x8b])
    ? { path, bytes: unpackedStart(path, raw), isGzip: true }
    : { path, bytes: raw, isGzip: false };
}

async function firstBytes(path: string): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** What the packed start unpacks to; `Z_SYNC_FLUSH` takes the cut end for granted. */
function unpackedStart(path: string, packed: Uint8Array): Uint8Array {
  try {
    // 4 KiB of gzip unpack to 4 MiB at most: deflate's best ratio is about 1,030.
    return gunzipSync(packed, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, HEAD_BYTES);
  } catch (error) {
    throw new InputError(
      {
        source: path,
        cause: `the gzip data is damaged (${error instanceof Error ? error.message : String(error)})`,
        remedy: "Copy the file again, or capture the machine again",
      },
      { cause: error },
    );
  }
}

const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean =>
  magic.every((byte, index) => bytes[index] === byte);
