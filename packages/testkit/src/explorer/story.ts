/**
 * Story: a run as numbered steps that a person can follow, up to the rule that broke and where it is written.
 */
import { ruleOf } from "../rules/registry.ts";
import type { RunOutcome } from "./run-options.ts";

/** Lines of a story, and the last ones of a longer one. */
const LINES_MAX = 400;

export function storyOf({ story, violations }: RunOutcome): string {
  const width = Math.max(0, ...story.map(({ actor }) => actor.length));
  const lines: string[] = [];
  let lastStep = -1;
  let lastActor = "";
  for (const { step, actor, text } of story) {
    const number = step === lastStep ? "" : String(step);
    const who = step === lastStep && actor === lastActor ? "" : actor;
    lines.push(`${number.padStart(4)}  ${who.padEnd(width)}  ${text}`.trimEnd());
    lastStep = step;
    lastActor = actor;
  }
  const left = lines.length - LINES_MAX;
  const shown = left > 0 ? [`      (${left} lines before)`, ...lines.slice(left)] : lines;
  return [...shown, ...verdicts(violations)].join("\n");
}

function verdicts(violations: RunOutcome["violations"]): string[] {
  const [first] = violations;
  if (first === undefined) {
    return ["no rule is broken"];
  }
  const { text, source } = ruleOf(first.rule);
  const more = violations.length > 1 ? [`and ${violations.length - 1} more`] : [];
  return [
    "",
    `${first.rule} is broken at step ${first.step} by ${first.actor}: ${first.text}`,
    `  the rule: ${text}`,
    `  written in: ${source}`,
    ...more,
  ];
}
