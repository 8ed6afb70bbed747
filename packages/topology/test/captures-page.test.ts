/** The page on captures states the limits that the readers keep. */
import { readFileSync } from "node:fs";
import {
  FUNCTION_COUNT_MAX,
  JSON_BYTES_MAX,
  MERGE_COUNT_MAX,
  PIPE_BYTES_MAX,
  TAR_BYTES_MAX,
  TAR_ENTRY_COUNT_MAX,
  TAR_KEPT_BYTES_MAX,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const page = readFileSync(new URL("../../../docs/captures.md", import.meta.url), "utf8");
const grouped = (value: number): string => value.toLocaleString("en-US");
const mebibytes = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${bytes / 2 ** 30} GiB` : `${bytes / 2 ** 20} MiB`;

describe("docs/captures.md", () => {
  it.each([
    ["functions of a machine", [grouped(FUNCTION_COUNT_MAX)]],
    ["a JSON capture, unpacked; a pipe; a bzip2 file, packed or not", [mebibytes(JSON_BYTES_MAX)]],
    [
      "a tar, unpacked; its entries; what is kept of it",
      [mebibytes(TAR_BYTES_MAX), grouped(TAR_ENTRY_COUNT_MAX), mebibytes(TAR_KEPT_BYTES_MAX)],
    ],
    ["captures given together; files in a folder", [`${MERGE_COUNT_MAX}`, "256"]],
  ])("states the limit of %s", (what, limits) => {
    expect(page).toContain(`| ${what} | ${limits.join("; ")} |`);
  });

  it("names one limit for JSON, pipes and bzip2, because it is one", () => {
    expect(PIPE_BYTES_MAX).toBe(JSON_BYTES_MAX);
  });
});
