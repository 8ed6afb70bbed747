/** The registry of rules: ids that are used are there, and those that are there are looked for and documented. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { RULES, type RuleId, ruleOf, rulesAsMarkdown } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";

const PAGE = new URL("../../../docs/contract.md", import.meta.url);
const BEGIN = "<!-- rules: begin -->";
const END = "<!-- rules: end -->";

/** Every id that a folder of the sources names. */
function idsIn(folder: string): Set<string> {
  const path = new URL(`../src/${folder}/`, import.meta.url);
  const texts = readdirSync(path).map((name) => readFileSync(new URL(name, path), "utf8"));
  return new Set(texts.join("\n").match(/(EXP|IMP|PLT|SYN)-\d{3}/g) ?? []);
}

describe("rules", () => {
  it("are sixty or more, each with an id of its own, a sentence and a source", () => {
    expect(RULES.length).toBeGreaterThanOrEqual(60);
    expect(new Set(RULES.map(({ id }) => id)).size).toBe(RULES.length);
    for (const { text, source } of RULES) {
      expect(text).toMatch(/^[A-Za-z].*\.$/);
      expect(source.length).toBeGreaterThan(10);
    }
  });

  it("that a checker or a suite names exist", () => {
    for (const folder of ["checker", "contract", "ground", "explorer"]) {
      for (const id of idsIn(folder)) {
        expect(ruleOf(id as RuleId).id).toBe(id);
      }
    }
  });

  it("are all looked for where they say", () => {
    const [checker, suites] = [idsIn("checker"), idsIn("contract")];
    const lost = RULES.filter(({ id, by }) => !(by === "suite" ? suites : checker).has(id));

    expect(lost.map(({ id }) => id)).toEqual([]);
  });

  it("stand in docs/contract.md as they are", () => {
    const text = readFileSync(PAGE, "utf8");
    const [before = "", rest = ""] = text.split(BEGIN);
    const made = `${before}${BEGIN}\n\n${rulesAsMarkdown()}\n\n${END}${rest.split(END)[1] ?? ""}`;
    if (process.env["UPDATE_DOCS"] === "1") {
      writeFileSync(PAGE, made);
    }

    expect(readFileSync(PAGE, "utf8"), "run it with UPDATE_DOCS=1").toBe(made);
  });
});
