/** Kit lines: what a driver's author reads. */
import { columns } from "../columns.ts";
import type { Paint } from "../paint.ts";
import { oneLine } from "../report-error.ts";
import { wrap } from "../wrap.ts";
import type { CheckLine, ExploredLine, FoundViolation, KitReport } from "./kit-order.ts";

/** Violations shown in full; the rest are in the JSON. */
const VIOLATIONS_SHOWN_MAX = 12;
/** Lines of a story; a replay prints all of it. */
const STORY_LINES_MAX = 40;

export interface LineStyle {
  /** Whole stories: one run was asked for. */
  readonly isReplay: boolean;
  readonly paint: Paint;
  readonly width: number;
  /** How to run it again: the command without options. */
  readonly again: string;
}

export function reportLines(report: KitReport, style: LineStyle): string[] {
  const { driver, checks, explored, violations } = report;
  const { paint } = style;
  const head = `${paint.name(driver.name)}, an ${driver.role}`;
  return [
    violations.length === 0
      ? `${head}: ${paint.good("no rule is broken")}.`
      : `${head}: ${paint.bad(brokenWords(rulesOf(violations)))}.`,
    ...checkLines(checks, style),
    ...exploredLines(explored, report.transitions.length, style),
    ...violations.slice(0, VIOLATIONS_SHOWN_MAX).flatMap((each) => violationLines(each, style)),
    ...moreLines(violations.length - VIOLATIONS_SHOWN_MAX),
  ];
}

const brokenWords = (rules: readonly string[]): string =>
  `${rules.length === 1 ? "1 rule is" : `${rules.length} rules are`} broken (${rules.join(", ")})`;

const rulesOf = (violations: readonly FoundViolation[]): string[] => [
  ...new Set(violations.map(({ rule }) => rule)),
];

function checkLines(checks: readonly CheckLine[], { paint, width }: LineStyle): string[] {
  if (checks.length === 0) {
    return [];
  }
  const count = (outcome: CheckLine["outcome"]): number =>
    checks.filter((check) => check.outcome === outcome).length;
  const unclaimed = checks.filter(({ outcome }) => outcome === "not claimed");
  const broken = checks.filter(({ outcome }) => outcome === "broken");
  return [
    "",
    `${paint.strong("Contract")}: ${checks.length} checks, ${count("held")} held, ${broken.length} broken, ${unclaimed.length} not claimed.`,
    ...broken.map(({ name, rules }) => `  ${paint.bad("broken")}  ${name} (${rules.join(", ")})`),
    ...(unclaimed.length === 0
      ? []
      : wrap(
          `Not claimed, so not checked: ${unclaimed.map(({ name }) => name).join("; ")}.`,
          width - 2,
        ).map((line) => `  ${paint.faint(line)}`)),
  ];
}

function exploredLines(
  explored: readonly ExploredLine[],
  transitionCount: number,
  { paint }: LineStyle,
): string[] {
  if (explored.length === 0) {
    return [];
  }
  const total = explored.reduce((sum, { schedules }) => sum + schedules, 0);
  const rows = explored.map(({ scenario, schedules, isComplete, isBroken }) => [
    isBroken ? paint.bad("broken") : paint.good("held"),
    scenario,
    `${schedules} schedules${isComplete ? ", all there are" : ""}`,
  ]);
  return [
    "",
    `${paint.strong("Explorer")}: ${total} schedules, ${transitionCount} different transitions of the protocol.`,
    ...columns(rows, { indent: 2 }),
  ];
}

function violationLines(violation: FoundViolation, style: LineStyle): string[] {
  const { paint, width } = style;
  const { rule, ruleText, source, subject, text, token, story } = violation;
  const indented = (words: string): string[] => wrap(words, width - 2).map((line) => `  ${line}`);
  const who = violation.actor === "" ? "" : `, while ${violation.actor} ran`;
  return [
    "",
    `${paint.bad(rule)} ${paint.strong(ruleText)}`,
    ...indented(oneLine(`${subject}: ${text}`)),
    ...indented(`Found by the ${violation.by} in "${violation.in}", step ${violation.step}${who}.`),
    ...indented(`Written in: ${source}`).map((line) => paint.faint(line)),
    ...storyLines(story ?? [], style).map((line) => `    ${oneLine(line)}`),
    ...(token === undefined ? [] : [`  Again: ${paint.name(`${style.again} --replay ${token}`)}`]),
  ];
}

function storyLines(story: readonly string[], { isReplay }: LineStyle): readonly string[] {
  const left = story.length - STORY_LINES_MAX;
  return isReplay || left <= 0
    ? story
    : [`(${left} lines before)`, ...story.slice(-STORY_LINES_MAX)];
}

const moreLines = (count: number): string[] =>
  count > 0 ? ["", `... and ${count} more violations (--json has all).`] : [];
