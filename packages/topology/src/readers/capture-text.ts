/**
 * Capture text: all of a capture file as text, up to a stated limit, for formats that are small.
 */
import { StringDecoder } from "node:string_decoder";
import { InputError } from "@peerbuf/core";
import type { CaptureHead } from "./capture-head.ts";

/** @throws InputError when it is longer, or its compression is damaged */
export async function captureText(head: CaptureHead, limitBytes: number): Promise<string> {
  const decoder = new StringDecoder("utf8");
  // Chunk by chunk: the bytes of a large file are not held beside its text.
  let text = "";
  let bytes = 0;
  try {
    for await (const chunk of head.open()) {
      text += decoder.write(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > limitBytes) {
        throw tooLong(head.path, limitBytes);
      }
    }
  } catch (error) {
    throw unreadable(head.path, error);
  }
  return (text + decoder.end()).replace(/^\ufeff/, "");
}

const tooLong = (source: string, limitBytes: number): InputError =>
  new InputError({
    source,
    cause: `it has more than ${limitBytes} bytes, which is the most that is read of this format`,
    remedy: "Check that this is the capture you meant",
  });

/** A stream that fails (damaged compression, a disk) is about what the person named. */
export function unreadable(source: string, error: unknown): InputError {
  return error instanceof InputError
    ? error
    : new InputError(
        {
          source,
          cause: `it cannot be read (${error instanceof Error ? error.message : String(error)})`,
          remedy: "Copy the file again, or capture the machine again",
        },
        { cause: error },
      );
}

/** The first bytes as text, without a byte order mark; for recognising a format. */
export const headText = (head: CaptureHead): string =>
  new TextDecoder().decode(head.bytes).replace(/^\ufeff/, "");
