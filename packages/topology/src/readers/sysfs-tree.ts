/**
 * Sysfs tree: files and links of /sys and /proc, wherever they were captured to.
 *
 * Paths are written without a leading slash: `sys/bus/pci/devices`, `proc/cpuinfo`. A missing file is
 * undefined and a missing folder is empty, because captures leave things out; a file that is there
 * but cannot be read is an `InputError`.
 */
import type { FactName } from "../missing-fact.ts";

export interface SysfsTree {
  /** The file or folder as the person named it, for errors. */
  readonly source: string;
  /** Facts that whoever captured says could not be read. Left out: nobody said. */
  readonly notReadable?: readonly FactName[];
  /** A text file without trailing blanks and without the zero bytes that tar pads sysfs files with. */
  text(path: string): string | undefined;
  /** A binary file. */
  bytes(path: string): Uint8Array | undefined;
  /** The target of a symbolic link, as it was written. */
  link(path: string): string | undefined;
  /** Names in a folder, in order of name. */
  list(path: string): readonly string[];
}

/** A sysfs attribute is at most one page; only cpuinfo is longer. Bytes. */
export const TREE_FILE_BYTES_MAX: number = 4 * 2 ** 20;

/** Where a link leads, as a path in the tree; undefined when it leaves the tree. */
export function followLink(path: string, target: string): string | undefined {
  const parts = target.startsWith("/") ? [] : path.split("/").slice(0, -1);
  for (const part of target.split("/")) {
    if (part === "..") {
      if (parts.pop() === undefined) {
        return undefined;
      }
    } else if (part !== "" && part !== ".") {
      parts.push(part);
    }
  }
  return parts.join("/");
}

const decoder = new TextDecoder();

/** The text of a sysfs attribute: up to the first zero byte, without blanks at the ends. */
export function attributeText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end)).trim();
}
