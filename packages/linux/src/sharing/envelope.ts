/**
 * Envelope: the bytes of a message: what the descriptors are called, and a JSON value.
 *
 * Read as coming from an enemy: size, shape and counts are checked before anything is believed.
 */
import { PeerbufError } from "@peerbuf/core";
import { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { DESCRIPTORS_MAX, MESSAGE_BYTES_MAX } from "../sys/message.ts";

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

export interface Item {
  readonly name: string;
  readonly sizeBytes: number;
}

export interface Envelope {
  readonly meta: Json;
  /** One for each descriptor, in their order; names are unique. */
  readonly items: readonly Item[];
}

const VERSION = 1;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * `ARGUMENT_INVALID` when it does not fit one message, for what is no open `LinuxBuffer` and for a value
 * that JSON cannot say (a cycle, a BigInt).
 */
export function encode(buffers: Readonly<Record<string, LinuxBuffer>>, meta: Json): Uint8Array {
  const items = Object.entries(buffers).map(([name, buffer]) => itemOf(name, buffer));
  const bytes = encoder.encode(textOf({ peerbuf: VERSION, meta, items }));
  if (items.length > DESCRIPTORS_MAX || bytes.length > MESSAGE_BYTES_MAX) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `a message of ${items.length} buffers and ${bytes.length} bytes: at most ${DESCRIPTORS_MAX} and ${MESSAGE_BYTES_MAX} fit`,
    );
  }
  return bytes;
}

function itemOf(name: string, buffer: unknown): Item {
  if (!(buffer instanceof LinuxBuffer)) {
    throw new PeerbufError("ARGUMENT_INVALID", `"${name}" is no buffer of this package`);
  }
  return { name, sizeBytes: buffer.sizeBytes };
}

function textOf(envelope: unknown): string {
  try {
    return JSON.stringify(envelope);
  } catch (cause) {
    throw new PeerbufError("ARGUMENT_INVALID", `a message cannot be put in JSON: ${cause}`, {
      cause,
    });
  }
}

/** `MESSAGE_INVALID` for anything but what `encode` makes for so many descriptors. */
export function decode(bytes: Uint8Array, descriptorCount: number): Envelope {
  const { peerbuf, meta, items } = objectIn(bytes);
  if (peerbuf !== VERSION || !Array.isArray(items) || !items.every(isItem)) {
    throw invalid("it is not of this protocol");
  }
  if (items.length !== descriptorCount) {
    throw invalid(`it names ${items.length} buffers and has ${descriptorCount} descriptors`);
  }
  if (new Set(items.map(({ name }) => name)).size !== items.length) {
    throw invalid("it uses one name twice");
  }
  return { meta: (meta ?? null) as Json, items };
}

function objectIn(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    throw invalid("it is no JSON text", error);
  }
}

function isItem(value: unknown): value is Item {
  const item = value as Partial<Item> | null;
  return (
    typeof item === "object" &&
    typeof item?.name === "string" &&
    Number.isSafeInteger(item.sizeBytes)
  );
}

const invalid = (text: string, cause?: unknown): PeerbufError =>
  new PeerbufError("MESSAGE_INVALID", `a message is not taken: ${text}`, { cause });
