/**
 * Envelope: the bytes of a message: what the descriptors are called, how large they are, and a JSON value.
 *
 * A head of fixed figures, then for each buffer its size and name, then the JSON text, which is left out for
 * null: so the common message needs no text written or parsed. Little-endian, as every processor this package
 * runs on. Read as coming from an enemy: lengths and counts are checked before anything is believed.
 */
import { PeerbufError } from "@peerbuf/core";
import { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { DESCRIPTORS_MAX, MESSAGE_BYTES_MAX, type Packet } from "../sys/packet.ts";
import { nameIn, textIn, write } from "./text.ts";

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** What is to be sent, looked at. */
export interface Load {
  readonly names: readonly string[];
  readonly buffers: readonly LinuxBuffer[];
  /** Empty for null. */
  readonly text: string;
}

/** "PB", version 2 (u32), number of buffers (u32). */
const PROTOCOL = 0x0002_4250;
const HEAD_BYTES = 8;
/** Size in bytes (f64), length of the name in bytes (u16), then the name in UTF-8. */
const ITEM_BYTES = 10;
/** Half of a character, which UTF-8 cannot say; JSON writes it with a backslash. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Whatever runs when the arguments are looked at (getters, `toJSON`) has run after this. `ARGUMENT_INVALID` for
 * what is no open `LinuxBuffer`, for too many, and for a value that JSON cannot say (a cycle, a BigInt).
 */
export function loadOf(buffers: Readonly<Record<string, LinuxBuffer>>, meta: Json): Load {
  if (typeof buffers !== "object" || buffers === null) {
    throw new PeerbufError("ARGUMENT_INVALID", "buffers to share are an object: { name: buffer }");
  }
  const names = Object.keys(buffers);
  const load = {
    names,
    buffers: names.map((name) => checkedBuffer(name, buffers[name])),
    text: meta === null ? "" : textOf(meta),
  };
  if (names.length > DESCRIPTORS_MAX) {
    throw tooMuch(`${names.length} buffers`);
  }
  return load;
}

function checkedBuffer(name: string, buffer: unknown): LinuxBuffer {
  if (!(buffer instanceof LinuxBuffer)) {
    throw new PeerbufError("ARGUMENT_INVALID", `"${name}" is no buffer of this package`);
  }
  return buffer;
}

function textOf(meta: Json): string {
  try {
    return JSON.stringify(meta) ?? "";
  } catch (cause) {
    throw new PeerbufError("ARGUMENT_INVALID", `a message cannot be put in JSON: ${cause}`, {
      cause,
    });
  }
}

/** Writes it to a packet. Returns how many bytes it has; `ARGUMENT_INVALID` when it does not fit. */
export function pack({ view, bytes }: Packet, { names, buffers, text }: Load): number {
  view.setUint32(0, PROTOCOL, true);
  view.setUint32(4, names.length, true);
  let at = HEAD_BYTES;
  for (let index = 0; index < names.length; index++) {
    const nameBytes = writtenName(names[index] as string, bytes, at + ITEM_BYTES);
    view.setFloat64(at, (buffers[index] as LinuxBuffer).sizeBytes, true);
    view.setUint16(at + 8, nameBytes, true);
    at += ITEM_BYTES + nameBytes;
  }
  return at + written(text, bytes, at);
}

function writtenName(name: string, bytes: Uint8Array, at: number): number {
  const count = written(name, bytes, at);
  // As many bytes as letters: ASCII.
  if (count !== name.length && LONE_SURROGATE.test(name)) {
    throw new PeerbufError("ARGUMENT_INVALID", `the name "${name}" holds half of a character`);
  }
  return count;
}

/** How many bytes it took. */
function written(text: string, bytes: Uint8Array, at: number): number {
  const count = write(text, bytes, at);
  if (count < 0) {
    throw tooMuch(`a text of ${text.length} characters`);
  }
  return count;
}

const tooMuch = (what: string): PeerbufError =>
  new PeerbufError(
    "ARGUMENT_INVALID",
    `${what} in a message: at most ${DESCRIPTORS_MAX} buffers and ${MESSAGE_BYTES_MAX} bytes fit`,
  );

/**
 * Reads an envelope from front to back: for each descriptor, in their order, `nextName` and the size after it,
 * then `meta`. Each is `MESSAGE_INVALID` for what `pack` does not make.
 */
export class EnvelopeReader {
  readonly #packet: Packet;
  readonly #end: number;
  #at = HEAD_BYTES;
  #index = 0;
  #sizeBytes = 0;

  constructor(packet: Packet, lengthBytes: number, descriptorCount: number) {
    this.#packet = packet;
    this.#end = lengthBytes;
    const { view } = packet;
    if (lengthBytes < HEAD_BYTES || view.getUint32(0, true) !== PROTOCOL) {
      throw invalid("it is not of this protocol");
    }
    const count = view.getUint32(4, true);
    if (count !== descriptorCount) {
      throw invalid(`it names ${count} buffers and has ${descriptorCount} descriptors`);
    }
  }

  nextName(): string {
    const { view, bytes } = this.#packet;
    const start = this.#at + ITEM_BYTES;
    const end = start > this.#end ? start : start + view.getUint16(this.#at + 8, true);
    if (end > this.#end) {
      throw invalid("it ends within a name");
    }
    const name = nameIn(bytes, start, end, this.#index++);
    if (name === undefined) {
      throw invalid("a name is no text");
    }
    this.#sizeBytes = view.getFloat64(this.#at, true);
    this.#at = end;
    return name;
  }

  /** Of the buffer named last, as the peer says. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  meta(): Json {
    if (this.#at === this.#end) {
      return null;
    }
    try {
      return JSON.parse(textIn(this.#packet.bytes, this.#at, this.#end)) as Json;
    } catch (error) {
      throw invalid("it holds no JSON text", error);
    }
  }
}

export const invalid = (text: string, cause?: unknown): PeerbufError =>
  new PeerbufError("MESSAGE_INVALID", `a message is not taken: ${text}`, { cause });
