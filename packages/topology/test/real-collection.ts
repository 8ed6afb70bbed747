/**
 * Real collection: captures of real machines by third parties, read in place where they are present.
 *
 * They are not part of this repository; without them the tests that need them are skipped, and say so.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const COLLECTION = fileURLToPath(new URL("../../../../shared/topologies/real", import.meta.url));

/** Why the collection is not there, or "". */
export const COLLECTION_MISSING: string = existsSync(COLLECTION)
  ? ""
  : "no collection of real captures beside the repository";

/** Files of the collection by a pattern of their paths. */
export function realFiles(pattern: RegExp): string[] {
  return COLLECTION_MISSING === ""
    ? readdirSync(COLLECTION, { recursive: true, encoding: "utf8" })
        .filter((path) => pattern.test(path))
        .sort()
    : [];
}

export const realPath = (path: string): string => join(COLLECTION, path);

/** What others read out of the same file, or stated about the machine. */
export function sourceOf(path: string): Record<string, unknown> {
  const text = readFileSync(join(COLLECTION, dirname(path), "source.json"), "utf8");
  return JSON.parse(text) as Record<string, unknown>;
}
