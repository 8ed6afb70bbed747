/**
 * Scenario file: YAML text (JSON is a part of YAML) with the place of every value.
 *
 * Whoever finds a fault in a value, the schema or a later check against the machine, asks for an
 * error by path and gets file, line, column and field into it.
 */
import { type FileHandle, open } from "node:fs/promises";
import { InputError } from "@peerbuf/core";
import { type Document, isMap, isNode, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { pathFrom } from "../path-from.ts";
import { parseScenario, type Scenario } from "./scenario.ts";

/** Scenarios are written by hand; more is another kind of file. */
const FILE_BYTES_MAX = 2 ** 20;
const REMEDY = "docs/scenario.md describes every field, and peerbuf scenario prints an example";

export type FieldPath = readonly PropertyKey[];

export class ScenarioFile {
  /** As the person named it. */
  readonly source: string;
  readonly scenario: Scenario;
  readonly #document: Document;
  readonly #lines = new LineCounter();

  /** @throws InputError for text that is no YAML or no scenario */
  constructor(source: string, text: string) {
    this.source = source;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const [error] = this.#document.errors;
    if (error !== undefined) {
      const cause =
        error.code === "MULTIPLE_DOCS"
          ? "this is not one scenario but several"
          : `this is not YAML: ${error.message.replaceAll("\n", " ")}`;
      throw this.#error(error.pos[0], undefined, cause, REMEDY);
    }
    this.scenario = this.#check(this.#value());
  }

  /** An error about the value at `path`. */
  problem(path: FieldPath, cause: string, remedy: string = REMEDY): InputError {
    return this.#error(this.#offsetOf(path), fieldName(path), cause, remedy);
  }

  #value(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      const cause = `this is not usable YAML: ${error instanceof Error ? error.message : error}`;
      throw this.#error(0, undefined, cause, REMEDY);
    }
  }

  #check(value: unknown): Scenario {
    const result = parseScenario(value);
    if ("scenario" in result) {
      return result.scenario;
    }
    const [issue, ...others] = result.issues as [z.core.$ZodIssue, ...z.core.$ZodIssue[]];
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    const [unknown] = issue.code === "unrecognized_keys" ? issue.keys : [];
    const path = unknown === undefined ? issue.path : [...issue.path, unknown];
    const isMissing = path.length > 0 && !this.#document.hasIn(path);
    const cause = isMissing ? "the field is missing" : causeOf(issue);
    const offset =
      unknown === undefined
        ? this.#offsetOf(path)
        : (this.#keyOffset(path) ?? this.#offsetOf(path));
    throw this.#error(offset, fieldName(path), `${cause}${more}`, REMEDY);
  }

  #error(offset: number, place: string | undefined, cause: string, remedy: string): InputError {
    const { line, col } = this.#lines.linePos(offset);
    // An empty file has no line to point at.
    const source = `${this.source}:${Math.max(1, line)}:${Math.max(1, col)}`;
    return new InputError({ source, ...(place && { place }), cause, remedy });
  }

  /** Where the value stands, or what is nearest above it when it is missing. */
  #offsetOf(path: FieldPath): number {
    for (let length = path.length; length > 0; length--) {
      const offset = this.#valueOffset(path.slice(0, length)) ?? 0;
      if (offset > 0) {
        return offset;
      }
    }
    const { contents } = this.#document;
    return isNode(contents) ? (contents.range?.[0] ?? 0) : 0;
  }

  /** The value's own place; a field's name when the value is a whole section. */
  #valueOffset(path: FieldPath): number | undefined {
    const node = this.#document.getIn(path, true);
    return isNode(node) && !isMap(node)
      ? node.range?.[0]
      : (this.#keyOffset(path) ?? (isNode(node) ? node.range?.[0] : undefined));
  }

  #keyOffset(path: FieldPath): number | undefined {
    const parent = this.#document.getIn(path.slice(0, -1), true);
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => String(key) === String(path.at(-1)))
      : undefined;
    return isNode(pair?.key) ? pair.key.range?.[0] : undefined;
  }
}

/** Makes what an outer layer refuses about a value an error at its field. */
export function atField<T>(file: ScenarioFile, path: FieldPath, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw blame(file, path, error);
  }
}

export function blame(file: ScenarioFile, path: FieldPath, error: unknown): unknown {
  if (!(error instanceof InputError)) {
    return error;
  }
  const { source, place, cause, remedy } = error.problem;
  const what = place === undefined ? source : `${source}: ${place}`;
  return file.problem(path, `${what}: ${cause}`, remedy);
}

/** @throws InputError also for a file that is missing, unreadable, or too large to be one */
export async function readScenarioFile(path: string, cwd: string): Promise<ScenarioFile> {
  try {
    await using file = await open(pathFrom(cwd, path));
    const bytes = await startOf(file);
    if (bytes.length > FILE_BYTES_MAX) {
      const { size } = await file.stat();
      throw new InputError({
        source: path,
        cause: `the file has ${size > 0 ? size : "many"} bytes, a scenario at most ${FILE_BYTES_MAX}`,
        remedy: "Name a scenario; a capture goes into --capture or the field capture",
      });
    }
    return new ScenarioFile(path, bytes.toString("utf8"));
  } catch (error) {
    throw asInputError(path, error);
  }
}

/** One byte more than a scenario may have, at most: pipes and devices do not say how long they are. */
async function startOf(file: FileHandle): Promise<Buffer> {
  const bytes = Buffer.alloc(FILE_BYTES_MAX + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length);
    length += bytesRead;
    if (bytesRead === 0) {
      return bytes.subarray(0, length);
    }
  }
}

function asInputError(path: string, error: unknown): unknown {
  if (error instanceof InputError || !(error instanceof Error) || !("code" in error)) {
    return error;
  }
  const isMissing = error.code === "ENOENT";
  return new InputError(
    {
      source: path,
      cause: isMissing ? "there is no such file" : `it cannot be read (${error.message})`,
      remedy: isMissing ? "Check the spelling" : "Name a scenario file that you may read",
    },
    { cause: error },
  );
}

/** Our own messages as they are; zod's without their capital and its word for what everybody sees. */
function causeOf({ message }: z.core.$ZodIssue): string {
  const text = message.replace(/^Invalid (option|input): /, "");
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** `transfers[2].buffer.size`; a name that is no word in quotes: `devices["13:00.0"].vram`. */
function fieldName(path: FieldPath): string {
  return path
    .map((part) => {
      if (typeof part === "number") {
        return `[${part}]`;
      }
      const name = String(part);
      return /^\w+$/.test(name) ? `.${name}` : `["${name}"]`;
    })
    .join("")
    .replace(/^\./, "");
}
