/**
 * Kit answer: what `check` and `explore` print and answer, however the run of the driver ended.
 */
import { InputError } from "@peerbuf/core";
import { EXIT } from "../exit-code.ts";
import type { Session } from "../session.ts";
import { reportLines } from "./kit-lines.ts";
import type { HelpReport, KitOrder, KitReport } from "./kit-order.ts";
import type { KitStopped } from "./kit-process.ts";

export function reportFound(
  session: Session,
  order: KitOrder,
  report: KitReport,
  isJson: boolean,
): Promise<void> {
  const isBroken = report.violations.length > 0;
  session.exitCode = isBroken ? EXIT.FINDING : EXIT.OK;
  return isJson
    ? printReport(session, order, report, { outcome: isBroken ? "broken" : "held" })
    : session.printLines(linesOf(session, order, report, true));
}

/** Ctrl-C: what was found until then. */
export async function reportInterrupted(
  session: Session,
  order: KitOrder,
  report: KitReport | undefined,
  isJson: boolean,
): Promise<void> {
  const isBroken = (report?.violations.length ?? 0) > 0;
  session.exitCode = isBroken ? EXIT.FINDING : EXIT.INTERRUPTED;
  if (isJson) {
    return printReport(session, order, report, { outcome: isBroken ? "broken" : "interrupted" });
  }
  await session.printLines([
    `${session.paint.fair("Interrupted")}.`,
    ...(report === undefined ? [] : linesOf(session, order, report, false)),
  ]);
}

/** Before the contract begins it is no driver; later it is one that breaks the first rule of all: to answer. */
export async function reportStopped(
  session: Session,
  order: KitOrder,
  end: KitStopped,
  isJson: boolean,
): Promise<void> {
  const { stage, why, report } = end;
  const at = unfinished(order, report) ?? end.at;
  if (stage === "load" || stage === "open") {
    const what = stage === "load" ? "loading the module" : "opening the driver";
    const remedy = stage === "load" ? LOAD_ADVICE : OPEN_ADVICE;
    throw new InputError({ source: order.source, cause: `${what} ${why}`, remedy });
  }
  session.exitCode = EXIT.FINDING;
  if (isJson) {
    const stopped = { stage: stage === "wait" ? "explore" : stage, at, why };
    return printReport(session, order, report, { outcome: "unfinished", stopped });
  }
  const where = stage === "contract" ? "the contract" : "the exploration";
  await session.printLines([
    `${session.paint.bad("Unfinished")}: the driver ${why}, in ${at} of ${where}.`,
    adviceOn(why),
    ...(report === undefined ? [] : ["", ...linesOf(session, order, report, false)]),
  ]);
}

const LOAD_ADVICE = "A module that is loaded defines its driver and does nothing else";
const OPEN_ADVICE =
  "open() fetches its tokens and returns: what takes time is an event of the clock or a fence";

function adviceOn(why: string): string {
  if (why.startsWith("made no progress")) {
    return "Nothing in a driver waits in a call: work that takes time is a fence in the answer.";
  }
  if (why.startsWith("threw")) {
    return "A driver has no timers of its own: what takes time is an event of CLOCK, what goes wrong the error of a fence.";
  }
  return why.startsWith("took more than")
    ? "What a driver keeps for a buffer goes with it: explored runs make thousands (--memory allows more)."
    : "A driver ends nothing: what goes wrong is a PeerbufError, or the error of a fence.";
}

/** Where threads explore several scenarios at once, it was in one of those that are not done. */
function unfinished(order: KitOrder, report: KitReport | undefined): string | undefined {
  const begun = report?.explored.filter(({ notRun }) => notRun === undefined) ?? [];
  if (order.workers === 1 || begun.length === 0) {
    return undefined;
  }
  const wanted = Math.ceil(order.schedules / begun.length);
  const open = begun.filter(
    ({ schedules, isBroken, isComplete }) => !(isBroken || isComplete) && schedules < wanted,
  );
  return open.map(({ scenario }) => scenario).join(" or ");
}

export function reportHelped(
  session: Session,
  { source, exportName }: KitOrder,
  { shares, schedules }: HelpReport,
  isJson: boolean,
): Promise<void> {
  return isJson
    ? session.printJson({ driver: { file: source, export: exportName }, shares, schedules })
    : session.printLines([`Done for others: ${shares} shares, ${schedules} schedules.`]);
}

interface Verdict {
  readonly outcome: "held" | "broken" | "unfinished" | "interrupted";
  readonly stopped?: Pick<KitStopped, "at" | "why"> & { readonly stage: string };
}

function printReport(
  session: Session,
  { source, exportName, seed }: KitOrder,
  report: KitReport | undefined,
  { outcome, stopped }: Verdict,
): Promise<void> {
  const { driver, ...rest } = report ?? { driver: {}, ...NOTHING };
  return session.printJson({
    driver: { file: source, export: exportName, ...driver },
    outcome,
    ...(stopped === undefined ? {} : { stopped }),
    seed,
    ...rest,
  });
}

const NOTHING: Omit<KitReport, "driver"> = {
  checks: [],
  explored: [],
  transitions: [],
  neverSeen: [],
  pairs: [],
  violations: [],
};

function linesOf(
  { paint, io }: Session,
  order: KitOrder,
  report: KitReport,
  isWhole: boolean,
): string[] {
  const { source, exportName, replay } = order;
  const option = exportName === "default" ? "" : ` --export ${exportName}`;
  return reportLines(report, {
    paint,
    width: io.stdout.columns,
    again: `peerbuf explore ${source}${option}`,
    isReplay: replay !== undefined,
    isWhole,
  });
}
