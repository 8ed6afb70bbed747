/**
 * Driver command: what `check` and `explore` have in common: options, the run with its progress, the answer.
 */
import { resolve } from "node:path";
import { InputError } from "@peerbuf/core";
import { type Command, InvalidArgumentError } from "commander";
import { type Progress, startProgress } from "../progress.ts";
import type { Session } from "../session.ts";
import { reportFound, reportHelped, reportInterrupted, reportStopped } from "./kit-answer.ts";
import type { KitOrder } from "./kit-order.ts";
import { type KitEnd, type KitLimits, runKit } from "./kit-process.ts";

export interface DriverOptions {
  readonly export: string;
  readonly schedules: number;
  readonly seed: number;
  readonly timeout: number;
  readonly memory: number;
  readonly workers?: number;
  readonly queue?: string;
  readonly join?: string;
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

export function driverCommand(command: Command, schedules: number, least: number): Command {
  return command
    .argument("<file>", "a module that exports a driver: .ts, .js or .mjs")
    .option("--export <name>", "the export to take", "default")
    .option("--schedules <count>", "schedules to explore", wholeNumber(least, 1e9), schedules)
    .option("--seed <number>", "where chance begins", wholeNumber(0, 2 ** 32 - 1), 1)
    .option(
      "--timeout <seconds>",
      "stop a driver that makes no progress for so long",
      wholeNumber(1, 86_400),
      120,
    )
    .option("--memory <MiB>", "stop a driver that takes more", wholeNumber(64, 65_536), 1024)
    .option("--json", "the same as JSON");
}

export function wholeNumber(least: number, most: number): (text: string) => number {
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
  const { schedules, seed, strategy = "portfolio", replay, scenario, workers = 1 } = options;
  return {
    path: resolve(session.io.cwd, file),
    source: file,
    exportName: options.export,
    task,
    schedules,
    seed,
    strategy,
    workers,
    heapMiB: options.memory,
    queue: options.queue ?? options.join,
    replay,
    scenario,
  };
}

export async function reportDriver(
  session: Session,
  order: KitOrder,
  options: DriverOptions,
): Promise<void> {
  const limits: KitLimits = {
    openMs: Math.min(OPEN_MS, options.timeout * 1000),
    quietMs: options.timeout * 1000,
    memoryBytes: options.memory * MIB,
  };
  const end = await runWithProgress(session, order, limits);
  const isJson = options.json === true;
  switch (end.kind) {
    case "problem":
      throw new InputError(end.problem);
    case "bug":
      throw new Error(end.stack);
    case "stopped":
      return reportStopped(session, order, end, isJson);
    case "interrupted":
      return reportInterrupted(session, order, end.report, isJson);
    case "helped":
      return reportHelped(session, order, end.report, isJson);
    case "report":
      return reportFound(session, order, end.report, isJson);
  }
}

async function runWithProgress(
  session: Session,
  order: KitOrder,
  limits: KitLimits,
): Promise<KitEnd> {
  const { io } = session;
  let progress: Progress | undefined;
  const listener = {
    stage(stage: string, total: number): void {
      const what = stage === "contract" ? "checks" : "schedules";
      progress?.end().catch(() => undefined);
      progress = total > 0 ? startProgress(io, what, total) : undefined;
      if (stage === "wait" && io.stderr.isTerminal) {
        io.stderr.write(WAITING).catch(() => undefined); // Nobody is looking any more.
      }
    },
    progress: (done: number) => void progress?.at(done).catch(() => undefined),
  };
  const end = await runKit(io, order, limits, listener, io.interrupted?.());
  await progress?.end();
  return end;
}

const WAITING = "Waits for shares of an exploration; ctrl-C ends it.\n";
