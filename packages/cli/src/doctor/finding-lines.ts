/** Finding lines: one finding for people: what, where, whom it hurts, what to type, what that gives and costs. */
import type { Finding, Fix, PairName, Severity } from "@peerbuf/topology";
import { shortBdf } from "../function-label.ts";
import { oneLine } from "../report-error.ts";
import type { Session } from "../session.ts";
import { briefly } from "./brief-text.ts";
import { fixLines } from "./fix-lines.ts";
import { entry, item } from "./labelled-lines.ts";
import { type Names, pairText } from "./pair-words.ts";

const PAIRS_SHOWN = 4;
const SEVERITY_WORDS: Readonly<Record<Severity, string>> = {
  blocks: "in the way",
  open: "not known",
  slows: "slower than it could be",
  note: "worth knowing",
};

/** @param isWhole every fix with every way to make it, not only the best */
export function findingLines(
  session: Session,
  names: Names,
  finding: Finding,
  number: number,
  isWhole: boolean,
): string[] {
  const { paint } = session;
  const { severity, code, text, at, source, pairs, pairCount, fixes } = finding;
  const color = severity === "blocks" ? paint.bad : paint.fair;
  const told = isWhole ? oneLine : briefly;
  const shown = isWhole ? fixes : fixes.slice(0, 1);
  const others = fixes.slice(shown.length);
  return [
    ...entry(
      session,
      `${number}.`,
      `${color(SEVERITY_WORDS[severity])}: ${paint.strong(told(text))} ${paint.faint(`[${code}]`)}`,
      3,
    ),
    ...(at.length === 0 ? [] : item(session, "where", placesText(at, names))),
    ...(pairCount === 0 ? [] : item(session, "pairs", pairsText(pairs, pairCount, names))),
    ...(isWhole ? item(session, "known by", source) : []),
    ...shown.flatMap((fix) => fixLines(session, names, fix, isWhole)),
    ...(others.length === 0 ? [] : item(session, "or", othersText(others))),
  ];
}

const OTHERS_SHOWN = 2;

/** Other fixes in a sentence each. */
function othersText(others: readonly Fix[]): string {
  const told = others.slice(0, OTHERS_SHOWN).map(({ text }) => briefly(text));
  const rest = others.length - told.length;
  return [...told, ...(rest > 0 ? [`${rest} more (--all).`] : [])].join(" Or: ");
}

/** One line for a finding that is not shown in full. */
export function findingLine(session: Session, finding: Finding, number: number): string[] {
  const { code, severity, text } = finding;
  const { paint } = session;
  return entry(
    session,
    `${number}.`,
    `${SEVERITY_WORDS[severity]}: ${briefly(text)} ${paint.faint(`[${code}]`)}`,
    3,
  );
}

function pairsText(pairs: readonly PairName[], pairCount: number, names: Names): string {
  if (pairs.length === 0) {
    return pairCount === 2 ? "both" : `all ${pairCount}`;
  }
  const shown = pairs.slice(0, PAIRS_SHOWN).map((pair) => pairText(pair, names));
  const rest = pairCount - shown.length;
  const list = rest > 0 ? [...shown, `${rest} more`] : shown;
  return `${pairCount}: ${list.join(", ")}`;
}

const PLACES_SHOWN = 8;

function placesText(at: readonly string[], names: Names): string {
  const shown = at.slice(0, PLACES_SHOWN).map((bdf) => {
    const name = names.get(bdf);
    if (name !== undefined) {
      return `${name} (${shortBdf(bdf)})`;
    }
    return bdf.includes(".") ? shortBdf(bdf) : `root bus ${bdf}`;
  });
  return at.length > shown.length
    ? `${shown.join(", ")} and ${at.length - shown.length} more`
    : shown.join(", ");
}
