/**
 * Find captures: what `fleet DIR...` looks at, without reading it.
 *
 * A folder that holds a capture in its usual form is one machine. Any other folder is searched, and every
 * file in it is one machine, whatever its format; names that start with a dot are passed over. Links
 * to files and to captures are followed, links to other folders are not, so a search always ends.
 */
import { type Dirent, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { InputError } from "@peerbuf/core";

/** Folders in each other. */
const DEPTH_MAX = 8;
/** Machines in one fleet. */
export const FLEET_MAX = 100_000;
/** What a folder holds that is itself a capture: these files, or a copy of /sys. */
const CAPTURE_NAMES: ReadonlySet<string> = new Set([
  "sysfs.json",
  "sysfs.tar",
  "sysfs.tar.gz",
  "sysfs.tgz",
  "sys",
]);

export interface CaptureFile {
  /** To open. */
  readonly path: string;
  /** To show: from the folder that the person named. */
  readonly name: string;
}

/** In order of name. @throws InputError for a place that there is not, or too many captures */
export function findCaptures(places: readonly string[]): CaptureFile[] {
  const found: CaptureFile[] = [];
  for (const place of places) {
    search(place, "", 0, found);
  }
  return found;
}

function search(path: string, name: string, depth: number, found: CaptureFile[]): void {
  const entries = entriesOf(path, depth > 0);
  if (entries === undefined || holdsCapture(entries)) {
    keep(found, { path, name: name === "" ? basename(path) : name }, path);
    return;
  }
  if (depth === DEPTH_MAX) {
    throw refusal(path, `folders lie deeper in each other than ${DEPTH_MAX}`);
  }
  for (const entry of entries) {
    const inner = join(path, entry.name);
    const capture = { path: inner, name: join(name, entry.name) };
    if (entry.isDirectory()) {
      search(inner, capture.name, depth + 1, found);
    } else if (entry.isFile() || (entry.isSymbolicLink() && leadsToCapture(inner))) {
      keep(found, capture, path);
    }
  }
}

const holdsCapture = (entries: readonly Dirent[]): boolean =>
  entries.some((entry) => CAPTURE_NAMES.has(entry.name));

/** Also a link that leads nowhere: it was meant to be one, and reading it will say so. */
function leadsToCapture(path: string): boolean {
  const target = statSync(path, { throwIfNoEntry: false });
  if (target?.isDirectory() === true) {
    return holdsCapture(entriesOf(path, true) ?? []);
  }
  return target === undefined || target.isFile();
}

function keep(found: CaptureFile[], capture: CaptureFile, path: string): void {
  if (found.length === FLEET_MAX) {
    throw refusal(path, `there are more than ${FLEET_MAX} captures`);
  }
  found.push(capture);
}

/** Undefined for what is no folder, and where `mayFail`, for what cannot be listed: reading it will say why. */
function entriesOf(path: string, mayFail: boolean): Dirent[] | undefined {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => !entry.name.startsWith("."))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOTDIR" || mayFail) {
      return undefined;
    }
    throw refusal(
      path,
      code === "ENOENT" ? "there is no such file or folder" : `it cannot be read (${message})`,
    );
  }
}

const refusal = (source: string, cause: string): InputError =>
  new InputError({ source, cause, remedy: "Name the folders that hold the captures" });
