/**
 * sysfs.json: a sysfs tree as one JSON file, with text files, links and binary files side by side.
 *
 * `{"files": {path: text}, "links": {path: target}, "binary": {path: {"length": bytes, "hex": ...}}}`;
 * trailing zero bytes of a binary file may be left out of `hex`. A capture by peerbuf (`capture/`) adds
 * `format`, `version`, `notReadable` (names of facts) and `folders` (paths), and is packed with gzip.
 */
import { InputError } from "@peerbuf/core";
import { CAPTURE_FORMAT, CAPTURE_VERSION } from "../capture/capture-machine.ts";
import { FACT_NAMES, type FactName } from "../missing-fact.ts";
import type { Topology } from "../topology.ts";
import type { CaptureHead } from "./capture-head.ts";
import { captureText, headText } from "./capture-text.ts";
import { MemoryTree } from "./memory-tree.ts";
import { topologyFromSysfs } from "./sysfs-topology.ts";
import { TREE_FILE_BYTES_MAX } from "./sysfs-tree.ts";
import { shown } from "./sysfs-value.ts";

/** Bytes of a JSON capture, at most; 68 functions take 0.3 MB. */
export const JSON_BYTES_MAX: number = 256 * 2 ** 20;
/** Characters in a path inside a capture, at most: as PATH_MAX in Linux. */
const PATH_LENGTH_MAX = 4096;

/** True when the file starts as a JSON object or list does. */
export const looksLikeJson = (head: CaptureHead): boolean =>
  /^\s*(?:\{|\[\s*[{["\d\]-])/.test(headText(head));

/** @throws InputError when the file is too large, is no JSON, or is some other JSON */
export async function readSysfsJson(head: CaptureHead): Promise<Topology> {
  const tree = treeFromJson(head.path, await captureText(head, JSON_BYTES_MAX));
  // Whoever says what was not readable has looked at all of the machine: it may have no PCI functions.
  return topologyFromSysfs(tree, tree.notReadable !== undefined);
}

/** The tree in the text of a sysfs.json. @throws InputError as above */
export function treeFromJson(source: string, text: string): MemoryTree {
  const capture = parseJson(source, text);
  requireKnownVersion(source, capture);
  const tree = new MemoryTree(source, notReadable(capture));
  for (const [path, content] of membersOf(source, capture, "files")) {
    tree.addFile(path, stringOf(source, `files["${path}"]`, content));
  }
  for (const [path, target] of membersOf(source, capture, "links")) {
    tree.addLink(path, stringOf(source, `links["${path}"]`, target));
  }
  for (const [path, content] of membersOf(source, capture, "binary")) {
    tree.addFile(path, binaryOf(source, `binary["${path}"]`, content));
  }
  for (const path of foldersOf(source, capture)) {
    tree.addFolder(path);
  }
  return tree;
}

/** A capture by peerbuf says so; a later form of it may mean something else by the same words. */
function requireKnownVersion(source: string, capture: Record<string, unknown>): void {
  const { format, version } = capture;
  if (format !== undefined && (format !== CAPTURE_FORMAT || version !== CAPTURE_VERSION)) {
    const cause = `it says it is "${shown(String(format))}" version ${shown(String(version))}, and version ${CAPTURE_VERSION} of "${CAPTURE_FORMAT}" is read`;
    throw refusedJson(source, "format", cause);
  }
}

/** Undefined for a capture that nobody said this of. */
const notReadable = ({ notReadable: names }: Record<string, unknown>): FactName[] | undefined =>
  Array.isArray(names) ? FACT_NAMES.filter((name) => names.includes(name)) : undefined;

function foldersOf(source: string, { folders = [] }: Record<string, unknown>): string[] {
  if (!Array.isArray(folders)) {
    throw refusedJson(source, "folders", "expected a list of paths");
  }
  return folders.map((path, index) => {
    const text = stringOf(source, `folders[${index}]`, path);
    if (text.length > PATH_LENGTH_MAX) {
      const cause = `the path is longer than ${PATH_LENGTH_MAX} characters`;
      throw refusedJson(source, `folders[${index}]`, cause);
    }
    return text;
  });
}

function parseJson(source: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    const cause = `this is not complete JSON (${error instanceof Error ? error.message : String(error)})`;
    throw refusedJson(source, undefined, cause, error);
  }
  const { files } = isObject(value) ? value : {};
  if (!isObject(value) || !isObject(files)) {
    throw refusedJson(
      source,
      undefined,
      'this JSON is no capture of /sys: it has no object "files"',
    );
  }
  return value;
}

function membersOf(
  source: string,
  capture: Record<string, unknown>,
  name: "files" | "links" | "binary",
): [string, unknown][] {
  const members = capture[name] ?? {};
  if (!isObject(members)) {
    throw refusedJson(source, name, "expected an object of paths");
  }
  const entries = Object.entries(members);
  const long = entries.find(([path]) => path.length > PATH_LENGTH_MAX);
  if (long !== undefined) {
    const place = `${name}["${long[0].slice(0, 40)}..."]`;
    throw refusedJson(source, place, `the path is longer than ${PATH_LENGTH_MAX} characters`);
  }
  return entries;
}

function stringOf(source: string, place: string, value: unknown): string {
  if (typeof value !== "string") {
    throw refusedJson(source, place, `expected text, found ${kindOf(value)}`);
  }
  return value;
}

function binaryOf(source: string, place: string, value: unknown): Uint8Array {
  const { length, hex } = isObject(value) ? value : {};
  if (typeof length !== "number" || typeof hex !== "string") {
    throw refusedJson(source, place, 'expected {"length": number, "hex": text}');
  }
  if (!Number.isInteger(length) || length < 0 || length > TREE_FILE_BYTES_MAX) {
    throw refusedJson(source, place, `length is ${length}, expected 0 to ${TREE_FILE_BYTES_MAX}`);
  }
  if (hex.length % 2 !== 0 || hex.length > length * 2 || !/^[0-9a-f]*$/i.test(hex)) {
    throw refusedJson(source, place, `hex is not the start of ${length} bytes in hexadecimal`);
  }
  const bytes = new Uint8Array(length);
  bytes.set(Buffer.from(hex, "hex"));
  return bytes;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "a list" : `a ${typeof value}`;

function refusedJson(
  source: string,
  place: string | undefined,
  cause: string,
  error?: unknown,
): InputError {
  return new InputError(
    {
      source,
      ...(place !== undefined && { place }),
      cause,
      remedy: "Capture the machine again, or name the sysfs.json, folder or tar of a capture",
    },
    { cause: error },
  );
}
