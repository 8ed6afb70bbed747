/**
 * Text lines: a text file as lines, one after the other, within stated limits.
 *
 * A line is handed on as a person meant it: without the marks of mail (`> `), carriage returns, a byte
 * order mark, terminal colours or hard spaces. The file is never held as a whole.
 */
import { StringDecoder } from "node:string_decoder";
import { InputError } from "@peerbuf/core";
import type { CaptureHead } from "../capture-head.ts";
import { unreadable } from "../capture-text.ts";

/** Unpacked bytes of one file, at most. `lspci -vvvxxxx` prints about 14 KiB a function. */
export const TEXT_BYTES_MAX: number = 2 ** 28;
/** Characters in a line, at most; lspci's longest are below 400. */
export const LINE_CHARS_MAX = 8192;

/** Takes one line and its number in the file, from 1. */
export type LineTaker = (line: string, number: number) => void;

/** Cuts text that comes in pieces into lines. */
export class LineCutter {
  readonly #source: string;
  readonly #take: LineTaker;
  #rest = "";
  #number = 0;

  constructor(source: string, take: LineTaker) {
    this.#source = source;
    this.#take = take;
  }

  push(piece: string): void {
    const text = this.#rest + piece;
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      this.#line(text.slice(start, end));
      start = end + 1;
    }
    this.#rest = text.slice(start);
    this.#requireShort(this.#rest);
  }

  end(): void {
    if (this.#rest !== "") {
      this.#line(this.#rest);
    }
    this.#rest = "";
  }

  #line(text: string): void {
    this.#number += 1;
    this.#requireShort(text);
    this.#take(cleanLine(text), this.#number);
  }

  #requireShort(text: string): void {
    if (text.length > LINE_CHARS_MAX) {
      throw new InputError({
        source: this.#source,
        place: `line ${Math.max(this.#number, 1)}`,
        cause: `the line has more than ${LINE_CHARS_MAX} characters, which no lspci prints`,
        remedy: "Name the output of lspci as it was printed",
      });
    }
  }
}

/** Reads a capture as lines. @throws InputError for damage or more than `TEXT_BYTES_MAX` */
export async function readTextLines(head: CaptureHead, take: LineTaker): Promise<void> {
  const cutter = new LineCutter(head.path, take);
  const decoder = new StringDecoder("utf8");
  let byteCount = 0;
  try {
    for await (const chunk of head.open() as AsyncIterable<Buffer>) {
      byteCount += chunk.length;
      if (byteCount > TEXT_BYTES_MAX) {
        throw tooLarge(head.path);
      }
      cutter.push(decoder.write(chunk));
    }
  } catch (error) {
    throw unreadable(head.path, error);
  }
  cutter.push(decoder.end());
  cutter.end();
}

const tooLarge = (source: string): InputError =>
  new InputError({
    source,
    cause: `the text is longer than ${TEXT_BYTES_MAX} bytes, the most that is read`,
    remedy: "Name the listing of one machine",
  });

const QUOTE = /^(?:>[ \t]?)+/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours start with the escape character.
const COLOUR = /\u001b\[[0-9;]*[A-Za-z]/g;

/** The line without what mail, terminals and web pages add to it. Leading blanks stay. */
export function cleanLine(raw: string): string {
  let line = raw;
  if (line.charCodeAt(0) === 0xfeff) {
    line = line.slice(1);
  }
  if (line.includes("\u001b")) {
    line = line.replace(COLOUR, "");
  }
  if (line.includes("\u00a0")) {
    line = line.replaceAll("\u00a0", " ");
  }
  if (line.charCodeAt(0) === 0x3e) {
    line = line.replace(QUOTE, "");
  }
  return line.charCodeAt(line.length - 1) === 0x0d ? line.slice(0, -1) : line;
}
