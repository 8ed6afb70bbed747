/**
 * Text: UTF-8 in a packet.
 *
 * Short names of ASCII letters, which is what most are, are written and recognized letter by letter: to call the
 * encoder for five letters costs as much as a system call.
 */

/** Up to here a loop is quicker than the encoder. */
const SHORT = 48;
/** A message's first names that are compared with what comes next. */
const REMEMBERED_MAX = 16;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Names of the latest messages of this thread by their place, ASCII only: messages often say the same again. */
const remembered: string[] = [];

/** How many bytes `text` took from `at` on; -1 when there is no room. */
export function write(text: string, target: Uint8Array, at: number): number {
  const { length } = text;
  if (length > target.length - at) {
    return -1;
  }
  if (length <= SHORT && writeAscii(text, target, at)) {
    return length;
  }
  const { read, written } = encoder.encodeInto(text, target.subarray(at));
  return read < length ? -1 : written;
}

function writeAscii(text: string, target: Uint8Array, at: number): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) {
      return false;
    }
    target[at + index] = code;
  }
  return true;
}

/** The name at a place of a message; undefined for what is no UTF-8. */
export function nameIn(
  bytes: Uint8Array,
  start: number,
  end: number,
  place: number,
): string | undefined {
  const last = remembered[place];
  if (last !== undefined && isAt(last, bytes, start, end)) {
    return last;
  }
  try {
    const name = textIn(bytes, start, end);
    // As many letters as bytes: ASCII.
    if (place < REMEMBERED_MAX && name.length === end - start && name.length <= SHORT) {
      remembered[place] = name;
    }
    return name;
  } catch {
    return undefined;
  }
}

function isAt(name: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) {
    return false;
  }
  for (let index = 0; index < name.length; index++) {
    if (name.charCodeAt(index) !== bytes[start + index]) {
      return false;
    }
  }
  return true;
}

/** A TypeError for what is no UTF-8. */
export const textIn = (bytes: Uint8Array, start: number, end: number): string =>
  decoder.decode(bytes.subarray(start, end));
