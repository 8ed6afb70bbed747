/**
 * Mutant table: the figures of docs/explorer.md on how soon each strategy finds the mutants that take a certain order of
 * events. `npm run bench:mutants` measures all of them (some minutes; `MUTANTS=one,other` only those) and writes the
 * table; the test replays a few.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { StrategyName } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import type { Mutant } from "./mutants/mutant.ts";
import { MUTANTS } from "./mutants/mutants.ts";
import { medianToFind, SCHEDULES_MAX, schedulesToFind } from "./mutants/search.ts";

const PAGE = fileURLToPath(new URL("../docs/explorer.md", import.meta.url));
const STRATEGIES: readonly StrategyName[] = ["random", "pct", "portfolio", "exhaustive"];
const SEEDS = 21;
const HEAD =
  "| Mutant | Rule | Random | PCT | Portfolio | Exhaustive |\n|---|---|---:|---:|---:|---:|\n";
const TABLE = /\| Mutant \| Rule \|.*\n\|---.*\n((?:\| .*\n)*)/;

interface Row {
  readonly name: string;
  /** As they stand in the table: a number, or beyond the limit. */
  readonly figures: Readonly<Record<string, string>>;
}

function rowsOf(page: string): Row[] {
  const lines = TABLE.exec(page)?.[1]?.split("\n") ?? [];
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      const [, name = "", , random = "", pct = "", portfolio = "", exhaustive = ""] = line
        .split("|")
        .map((cell) => cell.trim().replaceAll("`", ""));
      return { name, figures: { random, pct, portfolio, exhaustive } };
    });
}

const ordered = Object.entries(MUTANTS).filter(([, { by }]) => by === "explorer");

async function rowText(name: string, mutant: Mutant): Promise<string> {
  const figures: string[] = [];
  for (const strategy of STRATEGIES) {
    const median = await medianToFind(mutant, strategy, SEEDS);
    figures.push(median?.toLocaleString("en-US") ?? BEYOND);
  }
  return `| \`${name}\` | ${mutant.rules[0]} | ${figures.join(" | ")} |\n`;
}

/** Puts a row in, in the order of the mutants; rows of mutants that are gone go too. */
function writeRow(name: string, row: string): void {
  const page = readFileSync(PAGE, "utf8");
  const known = TABLE.exec(page)?.[1]?.split(/(?<=\n)/) ?? [];
  const lines = ordered.flatMap(([each]) =>
    each === name ? [row] : known.filter((line) => line.startsWith(`| \`${each}\` |`)),
  );
  expect(page).toMatch(TABLE);
  writeFileSync(
    PAGE,
    page.replace(TABLE, () => HEAD + lines.join("")),
  );
}

const BEYOND = `> ${SCHEDULES_MAX.toLocaleString("en-US")}`;

describe("the table of mutants", () => {
  it.skipIf(process.env["UPDATE_DOCS"] !== "1")(
    "is measured and written (skipped: npm run bench:mutants does it)",
    async () => {
      const wanted = process.env["MUTANTS"]?.split(",");
      for (const [name, mutant] of ordered) {
        if (wanted?.includes(name) ?? true) {
          writeRow(name, await rowText(name, mutant));
        }
      }
    },
    3_600_000,
  );

  it("speaks of mutants that exist, and take a certain order of events", () => {
    const names = rowsOf(readFileSync(PAGE, "utf8")).map(({ name }) => name);

    expect(names.length).toBeGreaterThanOrEqual(8);
    expect(ordered.map(([name]) => name)).toEqual(expect.arrayContaining(names));
  });

  it("has a strategy for each of them that finds it within the limit", () => {
    const never = rowsOf(readFileSync(PAGE, "utf8")).filter(({ figures }) =>
      Object.values(figures).every((figure) => figure === BEYOND),
    );

    expect(never).toEqual([]);
  });
});

describe("a search for a mutant", () => {
  /** Those that are found soon, so that the test is. */
  const soon = rowsOf(readFileSync(PAGE, "utf8")).filter(
    ({ figures }) => Number(figures["portfolio"]) <= 100,
  );

  it.each(soon.slice(0, 4))(
    "finds $name as soon as the table says, and again",
    async ({ name, figures }) => {
      const mutant = MUTANTS[name] as Mutant;
      const counts: number[] = [];
      for (const seed of [1, 2, 3, 4, 5]) {
        counts.push((await schedulesToFind(mutant, "portfolio", seed)) ?? SCHEDULES_MAX);
      }

      const middle = [...counts].sort((one, other) => one - other)[2] as number;
      expect(middle).toBeLessThanOrEqual(8 * Number(figures["portfolio"]));
      expect(await schedulesToFind(mutant, "portfolio", 5)).toBe(counts[4]);
    },
  );

  it("is given at least two mutants that are found soon", () => {
    expect(soon.length).toBeGreaterThanOrEqual(2);
  });
});
