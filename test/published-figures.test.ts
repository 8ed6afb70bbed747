/**
 * Published figures: what others measured against what the modelled machine says, as docs/machine.md has it. No
 * cell is written by hand: `UPDATE_DOCS=1 npx vitest run test/published-figures.test.ts` writes them all anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FIGURES, type Figure } from "./published/figures.ts";

const PAGE = new URL("../docs/machine.md", import.meta.url);
const BEGIN = "<!-- table: begin -->";
const END = "<!-- table: end -->";

/** Of a figure that the model was not fitted to, as a part of it. */
const DEVIATION_MAX = 0.15;

const answers = new Map<Figure, number>();

/** Each workload runs once. */
function modelled(figure: Figure): number {
  const answer = answers.get(figure) ?? figure.modelled();
  answers.set(figure, answer);
  return answer;
}

const deviation = (figure: Figure): number => modelled(figure) / figure.published - 1;

const HEAD = [
  "| What | Published | Modelled | Deviation | | Source |",
  "|---|---|---|---|---|---|",
];

const digits = (figure: number): string => figure.toPrecision(3);

function row(figure: Figure): string {
  const percent = (100 * deviation(figure)).toFixed(1).replace("-0.0", "0.0");
  const role = figure.sets === undefined ? "predicted" : `sets: ${figure.sets}`;
  const cells = [
    figure.what,
    `${digits(figure.published)} ${figure.unit}`,
    digits(modelled(figure)),
    `${percent} %`,
    role,
    figure.source,
  ];
  return `| ${cells.join(" | ")} |`;
}

describe("published figures", () => {
  const predicted = FIGURES.filter(({ sets }) => sets === undefined);

  it.each(predicted)("within 15 %: $what, $published $unit", (figure) => {
    expect(Math.abs(deviation(figure))).toBeLessThan(DEVIATION_MAX);
  });

  it("the same workload takes the same virtual time in every run", () => {
    const [figure] = predicted as [Figure, ...Figure[]];

    expect(figure.modelled()).toBe(modelled(figure));
  });

  it("stand in docs/machine.md as they come out", () => {
    const table = [...HEAD, ...FIGURES.map(row)].join("\n");
    const text = readFileSync(PAGE, "utf8");
    const [before = "", rest = ""] = text.split(BEGIN);
    const after = rest.split(END)[1] ?? "";
    const made = `${before}${BEGIN}\n\n${table}\n\n${END}${after}`;
    if (process.env["UPDATE_DOCS"] === "1") {
      writeFileSync(PAGE, made);
    }

    expect(readFileSync(PAGE, "utf8"), "run it with UPDATE_DOCS=1").toBe(made);
  });
});
