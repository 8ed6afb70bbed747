/**
 * Explore: many schedules and faults for a driver, and the shortest story of what went wrong.
 */
import { Command, Option } from "commander";
import {
  DRIVER_OPTIONS_HELP,
  type DriverOptions,
  driverCommand,
  orderOf,
  reportDriver,
} from "../driver-kit/driver-command.ts";
import type { Session } from "../session.ts";

const SCHEDULES = 20_000;

export function exploreCommand(session: Session): Command {
  return driverCommand(new Command("explore"), SCHEDULES)
    .description("explore schedules and faults of a driver, and replay the one that went wrong")
    .addOption(
      new Option("--strategy <name>", "who decides what comes next")
        .choices(["portfolio", "random", "pct", "exhaustive"])
        .default("portfolio"),
    )
    .option("--scenario <name>", "only scenarios whose name contains this")
    .option("--replay <token>", "one run again, step by step")
    .addHelpText(
      "after",
      `
Example:
  $ peerbuf explore ./my-driver.ts --schedules 200000 --seed 7
${DRIVER_OPTIONS_HELP}
Exit code: 0 when no rule is broken, 1 when one is or the driver hangs, 2 when the file has no driver that can be
opened.`,
    )
    .action((file: string, options: DriverOptions) =>
      reportDriver(session, orderOf(session, file, options, "explore"), options),
    );
}
