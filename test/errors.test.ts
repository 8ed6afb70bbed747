/** `docs/errors.md` says what the code says. */
import { readFileSync } from "node:fs";
import { ERROR_CODES } from "@peerbuf/core";
import { describe, expect, it } from "vitest";

const page = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");
const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| ([A-Z]+) \| (.+) \| (.+) \|$/gm)];

describe("docs/errors.md", () => {
  it("has a line for every code, with its errno, and none for codes that are gone", () => {
    const documented = Object.fromEntries(rows.map(([, code, errno]) => [code, errno]));

    expect(documented).toEqual({ ...ERROR_CODES });
  });

  it("is sorted, so that a code is found", () => {
    const codes = rows.map(([, code = ""]) => code);

    expect(codes).toEqual([...codes].sort());
  });
});
