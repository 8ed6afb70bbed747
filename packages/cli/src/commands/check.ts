/**
 * Check: the whole contract, held against a driver in somebody's own repository.
 *
 * The contract suite and a short exploration of schedules and faults, in a process of their own: a driver that
 * hangs or eats all memory is stopped and told of.
 */
import { Command } from "commander";
import {
  DRIVER_OPTIONS_HELP,
  type DriverOptions,
  driverCommand,
  orderOf,
  reportDriver,
} from "../driver-kit/driver-command.ts";
import type { Session } from "../session.ts";

/** Over all scenarios together: a few seconds. */
const SCHEDULES = 4000;

export function checkCommand(session: Session): Command {
  return driverCommand(new Command("check"), SCHEDULES, 0)
    .description("hold the whole contract against a driver: suite, checker and a short exploration")
    .addHelpText(
      "after",
      `
Example:
  $ peerbuf check ./my-driver.ts
${DRIVER_OPTIONS_HELP}
Exit code: 0 when no rule is broken, 1 when one is or the driver hangs in a check, 2 when the file has no driver
that can be opened, 130 when it was interrupted (ctrl-C) before a rule was broken.`,
    )
    .action((file: string, options: DriverOptions) =>
      reportDriver(session, orderOf(session, file, options, "check"), options),
    );
}
