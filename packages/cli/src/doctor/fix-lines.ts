/**
 * Fix lines: one fix for people: what to do, the text to type, what it gives by judging the changed machine,
 * and what it costs.
 */
import type { PathType } from "@peerbuf/core";
import type { Effect, Fix, FixStep } from "@peerbuf/topology";
import { oneLine } from "../report-error.ts";
import type { Session } from "../session.ts";
import { paintType } from "../verdict-words.ts";
import { briefly } from "./brief-text.ts";
import { item, TEXT_START } from "./labelled-lines.ts";
import { type Names, nameOf, pairText } from "./pair-words.ts";

const STEP_WORDS: Readonly<Record<FixStep["by"], string>> = {
  shell: "now, in",
  grub: "GRUB,",
  "systemd-boot": "systemd-boot,",
  grubby: "grubby,",
};

/** Lines of one step, when not everything is asked for. */
const STEP_LINES_MAX = 4;

/** @param isWhole every way to make it, not only one that lasts and one for now */
export function fixLines(session: Session, names: Names, fix: Fix, isWhole: boolean): string[] {
  const { paint } = session;
  const told = isWhole ? oneLine : briefly;
  const steps = isWhole ? fix.steps : bestSteps(fix.steps);
  return [
    ...item(session, fix.isPromised ? "fix" : "try", paint.strong(told(fix.text))),
    ...steps.flatMap((step) => stepLines(session, step, isWhole)),
    ...(fix.effect === undefined
      ? []
      : item(session, "result", resultText(session, fix.effect, names))),
    ...(fix.cost.text === "" ? [] : item(session, "cost", told(costText(fix, names)))),
  ];
}

/** One that lasts and one that can be tried at once. */
function bestSteps(steps: readonly FixStep[]): FixStep[] {
  const chosen = [
    steps.find(({ lasts }) => lasts === "permanent"),
    steps.find(({ lasts }) => lasts === "until-reboot"),
  ];
  return chosen.filter((step) => step !== undefined);
}

function stepLines(
  session: Session,
  { by, where, lines, lasts, note }: FixStep,
  isWhole: boolean,
): string[] {
  const { paint } = session;
  const until = lasts === "until-reboot" ? " (lost at reboot)" : "";
  const margin = " ".repeat(TEXT_START);
  const shown =
    isWhole || lines.length <= STEP_LINES_MAX ? lines : lines.slice(0, STEP_LINES_MAX - 1);
  const rest = lines.length - shown.length;
  return [
    ...item(session, "", paint.faint(`${STEP_WORDS[by]} ${where}${until}:`)),
    // Never wrapped: it is there to be copied.
    ...shown.map((line) => `${margin}  ${paint.name(oneLine(line))}`),
    ...(rest > 0 ? [`${margin}  ${paint.faint(`... and ${rest} more lines (--all)`)}`] : []),
    ...(note === undefined ? [] : item(session, "", paint.faint(oneLine(note)))),
  ];
}

function resultText(session: Session, effect: Effect, names: Names): string {
  const changed = changesText(session, effect, names);
  const worse = effect.worsenedCount === 0 ? "" : `; ${effect.worsenedCount} get worse`;
  return effect.changedCount === 0
    ? "no verdict changes"
    : `${changed}${worse} (computed by judging the changed machine)`;
}

/** `6 pairs from unsupported to bus-addr, e.g. gpu0 to nvme1`. */
function changesText({ paint }: Session, { changes, changedCount }: Effect, names: Names): string {
  const byKind = new Map<
    string,
    {
      before: PathType;
      after: PathType;
      count: number;
      first: { readonly provider: string; readonly client: string };
    }
  >();
  for (const { provider, client, before, after } of changes) {
    const key = `${before} ${after}`;
    const kind = byKind.get(key) ?? { before, after, count: 0, first: { provider, client } };
    byKind.set(key, { ...kind, count: kind.count + 1 });
  }
  const listed = [...byKind.values()].map(
    ({ before, after, count, first }) =>
      `${counted(count)} from ${paintType(paint, before)} to ${paintType(paint, after)}, such as ${pairText(first, names)}`,
  );
  const rest = changedCount - changes.length;
  return rest > 0 ? `${listed.join("; ")}; and ${rest} more` : listed.join("; ");
}

function costText({ cost }: Fix, names: Names): string {
  const merged = cost.mergedGroups ?? [];
  const groups = merged.map(
    ({ members }) => `one IOMMU group for ${members.map((bdf) => nameOf(bdf, names)).join(", ")}`,
  );
  return [
    oneLine(cost.text),
    ...groups.map((group) => `${group[0]?.toUpperCase()}${group.slice(1)}.`),
  ].join(" ");
}

const counted = (count: number): string => (count === 1 ? "1 pair" : `${count} pairs`);
