/**
 * Scenario file: YAML text (JSON is a part of YAML) with the place of every value.
 *
 * Whoever finds a fault in a value, the schema or a later check against the machine, asks for an
 * error by path and gets file, line, column and field into it.
 */
import { readFile, stat } from "node:fs/promises";
import { InputError } from "@peerbuf/core";
import { type Document, isMap, isNode, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { pathFrom } from "../machine-source.ts";
import { type Scenario, scenarioShape } from "./scenario.ts";

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
      const cause = `this is not YAML: ${error.message.replaceAll("\n", " ")}`;
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
    const result = scenarioShape.safeParse(value);
    if (result.success) {
      return result.data;
    }
    const [issue, ...others] = result.error.issues as [z.core.$ZodIssue, ...z.core.$ZodIssue[]];
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    throw this.problem(placeOf(issue), `${causeOf(issue)}${more}`);
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
      const offset = this.#keyOffset(path.slice(0, length)) ?? 0;
      if (offset > 0) {
        return offset;
      }
    }
    const { contents } = this.#document;
    return isNode(contents) ? (contents.range?.[0] ?? 0) : 0;
  }

  /** The value's own place; a field's when the value is a whole section. */
  #keyOffset(path: FieldPath): number | undefined {
    const node = this.#document.getIn(path as Iterable<unknown>, true);
    if (isNode(node) && !isMap(node)) {
      return node.range?.[0];
    }
    const parent = this.#document.getIn(path.slice(0, -1) as Iterable<unknown>, true);
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => String(key) === String(path.at(-1)))
      : undefined;
    const key = pair?.key;
    return isNode(key) ? key.range?.[0] : isNode(node) ? node.range?.[0] : undefined;
  }
}

/** @throws InputError also for a file that is missing, unreadable, or too large to be one */
export async function readScenarioFile(path: string, cwd: string): Promise<ScenarioFile> {
  const place = pathFrom(cwd, path);
  try {
    const { size } = await stat(place);
    if (size > FILE_BYTES_MAX) {
      throw new InputError({
        source: path,
        cause: `the file has ${size} bytes, a scenario at most ${FILE_BYTES_MAX}`,
        remedy: "Name a scenario; a capture goes into --capture or the field capture",
      });
    }
    return new ScenarioFile(path, await readFile(place, "utf8"));
  } catch (error) {
    throw asInputError(path, error);
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

/** An unknown field is pointed at itself, not at the section that it stands in. */
function placeOf(issue: z.core.$ZodIssue): FieldPath {
  return issue.code === "unrecognized_keys" && issue.keys[0] !== undefined
    ? [...issue.path, issue.keys[0]]
    : issue.path;
}

/** Our own messages as they are; zod's are about types and start with a capital. */
function causeOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type" && /received undefined$/.test(issue.message)) {
    return "the field is missing";
  }
  return issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
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
