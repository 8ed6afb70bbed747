/**
 * Capture head: a capture file as its readers see it: the first bytes, by which its format is
 * recognised, and a stream of all of it.
 *
 * Compression (gzip, bzip2) is looked through, so that a reader sees what the file is and not how it is
 * packed. A pipe (`-` for standard input, /dev/stdin, a process substitution) cannot be read twice, so
 * it is taken into memory whole, up to `PIPE_BYTES_MAX`.
 */
import { createReadStream, type Stats } from "node:fs";
import { open, stat } from "node:fs/promises";
import { pipeline, Readable } from "node:stream";
import { constants, createGunzip, gunzipSync } from "node:zlib";
import { InputError } from "@peerbuf/core";
import { bunzipped } from "./bunzip.ts";

/** Bytes looked at: a tar header is 512, and text shows itself much earlier. */
const HEAD_BYTES = 4096;
/** Bytes of bzip2 unpacked to look at: one block has up to 900,000. */
const BZIP2_HEAD_BYTES = 2 ** 20;
/** Bytes read from a pipe, and bytes of a bzip2 file before and after unpacking, at most. */
export const PIPE_BYTES_MAX: number = 256 * 2 ** 20;

/** What a person writes for standard input. */
const STANDARD_INPUT: ReadonlySet<string> = new Set(["-", "/dev/stdin", "/dev/fd/0"]);

const GZIP: readonly number[] = [0x1f, 0x8b];
const BZIP2: readonly number[] = [0x42, 0x5a, 0x68];

/** Formats that are recognised only to say what to do about them. */
const PACKED_OTHERWISE: readonly (readonly [string, readonly number[], string])[] = [
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a], "unxz"],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd], "unzstd"],
  ["zip", [0x50, 0x4b, 0x03, 0x04], "unzip"],
];

export interface CaptureHead {
  /** The file as the person named it. */
  readonly path: string;
  /** The first bytes, after decompression; at least one. */
  readonly bytes: Uint8Array;
  /** All bytes after decompression, in chunks. No limit is kept here: every reader has its own. */
  open(): Readable;
}

/** @throws InputError when the file is empty, unreadable, or packed in a way that is not read here */
export async function readHead(path: string): Promise<CaptureHead> {
  const head = await unpackedHead(path);
  if (head.bytes.length === 0) {
    throw refused(path, "the file is empty", "Capture the machine again");
  }
  return head;
}

async function unpackedHead(path: string): Promise<CaptureHead> {
  const content = await contentOf(path);
  const raw = content.start;
  const packed = PACKED_OTHERWISE.find(([, magic]) => startsWith(raw, magic));
  if (packed !== undefined) {
    throw refused(
      path,
      `the file is packed with ${packed[0]}, which is not read here`,
      `Unpack it with ${packed[2]} first, or pack it with gzip`,
    );
  }
  if (startsWith(raw, GZIP)) {
    const bytes = unpackedStart(path, raw.subarray(0, HEAD_BYTES));
    return { path, bytes, open: () => joined(content.open(), createGunzip()) };
  }
  if (startsWith(raw, BZIP2)) {
    const all = Buffer.concat(await limitedChunks(path, content.open()));
    const bytes = startOf(bunzipped(path, all, BZIP2_HEAD_BYTES, "start"));
    const open = () => Readable.from(bunzipped(path, all, PIPE_BYTES_MAX, "whole"), BYTES);
    return { path, bytes, open };
  }
  return { path, bytes: raw.subarray(0, HEAD_BYTES), open: content.open };
}

/** True for something that `readHead` reads, though it is no file: standard input or a pipe. */
export async function isPipe(path: string): Promise<boolean> {
  return STANDARD_INPUT.has(path) || isPipeLike(await stat(path));
}

const isPipeLike = (stats: Stats): boolean => stats.isFIFO() || stats.isSocket();

interface Content {
  /** Packed bytes from the start, as many as are cheap to have. */
  readonly start: Uint8Array;
  readonly open: () => Readable;
}

async function contentOf(path: string): Promise<Content> {
  if (await isPipe(path)) {
    const all = await pipedChunks(path);
    return { start: startOf(all), open: () => Readable.from(all, BYTES) };
  }
  return { start: await firstBytes(path), open: () => createReadStream(path) };
}

/** Everything a pipe gives until its writer closes it. */
async function pipedChunks(path: string): Promise<Uint8Array[]> {
  if (STANDARD_INPUT.has(path) && process.stdin.isTTY) {
    throw refused(
      path,
      "standard input is a terminal, not a capture",
      "Pipe a capture in, or name a file",
    );
  }
  const stream = STANDARD_INPUT.has(path) ? process.stdin : createReadStream(path);
  return limitedChunks(path, stream);
}

async function limitedChunks(path: string, stream: AsyncIterable<unknown>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Uint8Array);
    bytes += (chunk as Uint8Array).length;
    if (bytes > PIPE_BYTES_MAX) {
      const cause = `it has more than ${PIPE_BYTES_MAX} bytes, which is the most that is read from a pipe or a bzip2 file`;
      throw refused(path, cause, "Name a capture file, packed with gzip or not at all");
    }
  }
  return chunks;
}

const BYTES = { objectMode: false };

/** The first bytes of some chunks; a pipe may give them one by one. */
function startOf(chunks: readonly Uint8Array[]): Uint8Array {
  const start = Buffer.alloc(HEAD_BYTES);
  let bytes = 0;
  for (const chunk of chunks) {
    bytes += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).copy(start, bytes);
    if (bytes === HEAD_BYTES) {
      break;
    }
  }
  return start.subarray(0, bytes);
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
    const cause = `the gzip data is damaged (${error instanceof Error ? error.message : String(error)})`;
    throw refused(path, cause, "Copy the file again, or capture the machine again", error);
  }
}

/** One stream through the other; a failure of either shows where the result is read. */
function joined(source: Readable, through: ReturnType<typeof createGunzip>): Readable {
  pipeline(source, through, () => undefined);
  return through;
}

const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean =>
  magic.every((byte, index) => bytes[index] === byte);

const refused = (source: string, cause: string, remedy: string, error?: unknown): InputError =>
  new InputError({ source, cause, remedy }, { cause: error });
