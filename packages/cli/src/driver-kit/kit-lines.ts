/** Kit lines: what a driver's author reads. */
import { columns } from "../columns.ts";
import type { Paint } from "../paint.ts";
import { oneLine } from "../report-error.ts";
import { wrap } from "../wrap.ts";
import type { CheckLine, ExploredLine, FoundViolation, KitReport } from "./kit-order.ts";

/** Rules shown; the rest are in the JSON. */
const RULES_SHOWN_MAX = 12;
/** Lines of a story; a replay prints all of it. */
const STORY_LINES_MAX = 40;

export interface LineStyle {
  /** Whole stories: one run was asked for. */
  readonly isReplay: boolean;
  /** False: it was stopped before it was done. */
  readonly isWhole: boolean;
  readonly paint: Paint;
  readonly width: number;
  /** How to run it again: the command without options. */
  readonly again: string;
}

export function reportLines(report: KitReport, style: LineStyle): string[] {
  const { driver, checks, violations } = report;
  const { paint } = style;
  const head = `${paint.name(driver.name)}, an ${driver.role}`;
  const soFar = style.isWhole ? "" : " so far";
  const groups = groupsOf(violations);
  return [
    violations.length === 0
      ? `${head}: ${paint.good("no rule is broken")}${soFar}.`
      : `${head}: ${paint.bad(brokenWords(rulesOf(violations)))}${soFar}.`,
    ...checkLines(checks, style),
    ...exploredLines(report, style),
    ...groups.slice(0, RULES_SHOWN_MAX).flatMap((group) => groupLines(group, style)),
    ...moreLines(groups.slice(RULES_SHOWN_MAX)),
  ];
}

/** One mistake breaks its rule in many places: what the suites and what the explorer say of a rule is told once each. */
function groupsOf(violations: readonly FoundViolation[]): FoundViolation[][] {
  const groups = new Map<string, FoundViolation[]>();
  for (const violation of violations) {
    const key = `${violation.rule} ${violation.by}`;
    groups.set(key, [...(groups.get(key) ?? []), violation]);
  }
  return [...groups.values()];
}

/** The one that is told first, or has the shortest story. */
function groupLines(group: readonly FoundViolation[], style: LineStyle): string[] {
  const length = ({ story }: FoundViolation): number => story?.length ?? 0;
  const told = group.reduce((best, each) => (length(each) < length(best) ? each : best));
  const others = group.length - 1;
  const more = `  ${others} more of this rule (--json has all).`;
  return [...violationLines(told, style), ...(others === 0 ? [] : [style.paint.faint(more)])];
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

function exploredLines({ explored, ...seen }: KitReport, style: LineStyle): string[] {
  const { paint } = style;
  if (explored.length === 0) {
    return [];
  }
  const total = explored.reduce((sum, { schedules }) => sum + schedules, 0);
  const rows = explored.map((line) => [outcomeOf(line, style), line.scenario, runWords(line)]);
  return [
    "",
    `${paint.strong("Explorer")}: ${total} schedules.${style.isReplay ? "" : ` ${coverageWords(seen)}`}`,
    ...columns(rows, { indent: 2 }),
    ...(style.isReplay ? [] : neverSeenLines(seen, style)),
  ];
}

function outcomeOf({ isBroken, schedules }: ExploredLine, { paint }: LineStyle): string {
  if (schedules === 0) {
    return paint.fair("not run");
  }
  return isBroken ? paint.bad("broken") : paint.good("held");
}

const runWords = ({ schedules, isComplete, notRun }: ExploredLine): string =>
  notRun ?? `${schedules} schedules${isComplete ? ", all there are" : ""}`;

type Seen = Pick<KitReport, "transitions" | "neverSeen" | "pairs">;

const coverageWords = ({ transitions, neverSeen, pairs }: Seen): string =>
  `Of the protocol's ${transitions.length + neverSeen.length} steps they saw ${transitions.length}, in ${pairs.length} different pairs.`;

/** A refusal or a move that a driver never met is what it was never tried in. */
function neverSeenLines({ neverSeen }: Seen, { paint, width }: LineStyle): string[] {
  return neverSeen.length === 0
    ? []
    : wrap(`Never seen: ${neverSeen.join(", ")}.`, width - 2).map(
        (line) => `  ${paint.faint(line)}`,
      );
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

const moreLines = (groups: readonly (readonly FoundViolation[])[]): string[] =>
  groups.length > 0
    ? ["", `... and ${groups.flat().length} more violations of other rules (--json has all).`]
    : [];
