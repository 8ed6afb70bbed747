/**
 * Driver command: what `check` and `explore` have in common: options, the run with its progress, the answer.
 */
import { resolve } from "node:path";
import { InputError } from "@peerbuf/core";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT } from "../exit-code.ts";
import { type Progress, startProgress } from "../progress.ts";
import type { Session } from "../session.ts";
import { reportLines } from "./kit-lines.ts";
import type { KitOrder, KitReport } from "./kit-order.ts";
import { type KitEnd, type KitLimits, runKit } from "./kit-process.ts";

export interface DriverOptions {
  readonly export: string;
  readonly schedules: number;
  readonly seed: number;
  readonly timeout: number;
  readonly memory: number;
  readonly strategy?: string;
  readonly scenario?: string;
  readonly replay?: string;
  readonly json?: boolean;
}

/** Loading and opening do next to nothing in a driver that is fit for use. */
const OPEN_MS = 10_000;
const MIB = 2 ** 20;

export const DRIVER_OPTIONS_HELP = `
The file exports a driver, and for an importer how to use it: docs/writing-a-driver.md.
`;

export function driverCommand(command: Command, schedules: number): Command {
  return command
    .argument("<file>", "a module that exports a driver: .ts, .js or .mjs")
    .option("--export <name>", "the export to take", "default")
    .option("--schedules <count>", "schedules to explore", wholeNumber(0, 1e9), schedules)
    .option("--seed <number>", "where chance begins", wholeNumber(0, 2 ** 32 - 1), 1)
    .option("--timeout <seconds>", "stop a driver that takes longer", wholeNumber(1, 86_400), 120)
    .option("--memory <MiB>", "stop a driver that takes more", wholeNumber(64, 65_536), 1024)
    .option("--json", "the same as JSON");
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`A whole number from ${least} to ${most} is wanted.`);
    }
    return value;
  };
}

export function orderOf(
  session: Session,
  file: string,
  options: DriverOptions,
  task: KitOrder["task"],
): KitOrder {
  const { schedules, seed, strategy = "portfolio", replay, scenario } = options;
  const path = resolve(session.io.cwd, file);
  const exportName = options.export;
  return { path, source: file, exportName, task, schedules, seed, strategy, replay, scenario };
}

export async function reportDriver(
  session: Session,
  order: KitOrder,
  options: DriverOptions,
): Promise<void> {
  const limits: KitLimits = {
    openMs: Math.min(OPEN_MS, options.timeout * 1000),
    wholeMs: options.timeout * 1000,
    memoryBytes: options.memory * MIB,
  };
  const end = await runWithProgress(session, order, limits);
  switch (end.kind) {
    case "problem":
      throw new InputError(end.problem);
    case "bug":
      throw new Error(end.stack);
    case "stopped":
      return reportStopped(session, order, end, options);
    case "report":
      return reportFound(session, order, end.report, options);
  }
}

async function runWithProgress(
  session: Session,
  order: KitOrder,
  limits: KitLimits,
): Promise<KitEnd> {
  let progress: Progress | undefined;
  const end = await runKit(session.io, order, limits, {
    stage(stage, total) {
      const what = stage === "contract" ? "checks" : "schedules";
      progress = total > 0 ? startProgress(session.io, what, total) : undefined;
    },
    progress: (done) => void progress?.at(done).catch(() => undefined),
  });
  await progress?.end();
  return end;
}

async function reportFound(
  session: Session,
  order: KitOrder,
  report: KitReport,
  { json }: DriverOptions,
): Promise<void> {
  const isBroken = report.violations.length > 0;
  session.exitCode = isBroken ? EXIT.FINDING : EXIT.OK;
  if (json === true) {
    const { driver, ...rest } = report;
    await session.printJson({
      driver: { file: order.source, export: order.exportName, ...driver },
      outcome: isBroken ? "broken" : "held",
      seed: order.seed,
      ...rest,
    });
    return;
  }
  const { paint, io } = session;
  const again = `peerbuf explore ${order.source}${exportOption(order)}`;
  await session.printLines(
    reportLines(report, {
      paint,
      width: io.stdout.columns,
      again,
      isReplay: order.replay !== undefined,
    }),
  );
}

const exportOption = ({ exportName }: KitOrder): string =>
  exportName === "default" ? "" : ` --export ${exportName}`;

/** Before the contract begins it is no driver; later it is one that breaks the first rule of all: to answer. */
async function reportStopped(
  session: Session,
  order: KitOrder,
  { stage, at, why }: Extract<KitEnd, { kind: "stopped" }>,
  { json }: DriverOptions,
): Promise<void> {
  if (stage === "load" || stage === "open") {
    const what = stage === "load" ? "loading the module" : "opening the driver";
    throw new InputError({
      source: order.source,
      cause: `${what} ${why}`,
      remedy:
        "open() fetches its tokens and returns: what takes time is an event of the clock or a fence",
    });
  }
  session.exitCode = EXIT.FINDING;
  if (json === true) {
    const stopped = { stage, at, why };
    const nothing = { checks: [], explored: [], transitions: [], violations: [] };
    const driver = { file: order.source, export: order.exportName, name: "", role: "exporter" };
    await session.printJson({
      driver,
      outcome: "unfinished",
      stopped,
      seed: order.seed,
      ...nothing,
    });
    return;
  }
  const { paint } = session;
  const where = stage === "contract" ? "the contract" : "the exploration";
  await session.printLines([
    `${paint.bad("Unfinished")}: the driver ${why}, in "${at}" of ${where}.`,
    "Nothing in a driver waits in a call: work that takes time is a fence in the answer.",
  ]);
}
