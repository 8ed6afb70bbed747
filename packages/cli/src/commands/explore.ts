/**
 * Explore: many schedules and faults for a driver, and the shortest story of what went wrong.
 *
 * By all cores of this machine, or with `--queue` and `--join` by those of many; the answer is the same.
 */
import { availableParallelism } from "node:os";
import { InputError } from "@peerbuf/core";
import { Command, Option } from "commander";
import {
  DRIVER_OPTIONS_HELP,
  type DriverOptions,
  driverCommand,
  orderOf,
  reportDriver,
  wholeNumber,
} from "../driver-kit/driver-command.ts";
import type { Session } from "../session.ts";

const SCHEDULES = 20_000;
const WORKERS_MAX = 256;

export function exploreCommand(session: Session): Command {
  return driverCommand(new Command("explore"), SCHEDULES, 1)
    .description("explore schedules and faults of a driver, and replay the one that went wrong")
    .addOption(
      new Option("--strategy <name>", "who decides what comes next")
        .choices(["portfolio", "random", "pct", "exhaustive"])
        .default("portfolio"),
    )
    .option("--scenario <name>", "only scenarios whose name contains this")
    .addOption(
      new Option("--workers <count>", "threads that explore")
        .argParser(wholeNumber(1, WORKERS_MAX))
        .default(Math.min(WORKERS_MAX, availableParallelism()), "the cores of this machine"),
    )
    .option("--queue <url>", "share it with other machines, over a Redis")
    .option("--join <url>", "take shares of what another machine explores with --queue")
    .option("--replay <token>", "one run again, step by step")
    .addHelpText(
      "after",
      `
Example:
  $ peerbuf explore ./my-driver.ts --schedules 200000 --seed 7
  $ peerbuf explore ./my-driver.ts --schedules 50000000 --queue redis://10.0.0.5:6379
  $ peerbuf explore ./my-driver.ts --join redis://10.0.0.5:6379        # on other machines
${DRIVER_OPTIONS_HELP}
Exit code: 0 when no rule is broken, 1 when one is or the driver hangs, 2 when the file has no driver that can be
opened or Redis is not there, 130 when it was interrupted (ctrl-C) before a rule was broken.`,
    )
    .action((file: string, options: DriverOptions) => explore(session, file, options));
}

function explore(session: Session, file: string, options: DriverOptions): Promise<void> {
  const { queue, join, replay } = options;
  const ways = Object.entries({ queue, join, replay }).filter(([, value]) => value !== undefined);
  if (ways.length > 1) {
    throw new InputError({
      source: ways.map(([name]) => `--${name}`).join(" "),
      cause: "these are different things to do",
      remedy: "Choose one of them",
    });
  }
  const task = join === undefined ? "explore" : "help";
  return reportDriver(session, orderOf(session, file, options, task), options);
}
