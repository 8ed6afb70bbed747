/**
 * Fleet: thousands of captures at once: which machines are the same, which are odd, and what differs.
 */
import { availableParallelism } from "node:os";
import { InputError } from "@peerbuf/core";
import { KERNEL_DEFAULT, rulesForKernel } from "@peerbuf/topology";
import { Command } from "commander";
import { EXIT } from "../exit-code.ts";
import { digestAll } from "../fleet/digest-pool.ts";
import { findCaptures } from "../fleet/find-captures.ts";
import { type Fleet, groupFleet } from "../fleet/fleet-groups.ts";
import { fleetLines } from "../fleet/fleet-report.ts";
import { pathFrom } from "../path-from.ts";
import { startProgress } from "../progress.ts";
import type { Session } from "../session.ts";

/** Threads gain little above: reading is bound by memory. */
const THREADS_MAX = 16;

interface FleetOptions {
  readonly kernel: string;
  readonly threads?: string;
  readonly json?: boolean;
}

export function fleetCommand(session: Session): Command {
  return new Command("fleet")
    .description("groups the machines of many captures, and shows the odd ones and what differs")
    .argument("<place...>", "folders of captures, or captures, in any format")
    .option("-k, --kernel <version>", "whose P2PDMA rules", KERNEL_DEFAULT)
    .option("--threads <count>", `threads that read, 0 to ${THREADS_MAX} (default: one a core)`)
    .option("--json", "the same as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf fleet captures/\n\nExit code: 0 when no machine is odd, 1 when one is or cannot be read, 2 when none can.",
    )
    .action(async (places: string[], options: FleetOptions) => fleet(session, places, options));
}

async function fleet(
  session: Session,
  places: readonly string[],
  options: FleetOptions,
): Promise<void> {
  const rules = rulesForKernel(options.kernel);
  const threadCount = threadsOf(options.threads);
  const captures = findCaptures(places.map((place) => pathFrom(session.io.cwd, place)));
  const progress = startProgress(session.io, "captures", captures.length);
  const digests = await digestAll(captures, {
    kernel: options.kernel,
    threadCount,
    onDone: (count) => progress.at(count),
  });
  await progress.end();
  const answer = await groupFleet(captures, digests, rules);
  requireReadable(places, answer);
  const isFine =
    answer.unreadable.length === 0 && answer.groups.every(({ like }) => like === undefined);
  session.exitCode = isFine ? EXIT.OK : EXIT.FINDING;
  if (options.json === true) {
    await session.printJson({ kernel: rules.version, ...answer });
  } else {
    await session.printLines(fleetLines(session, answer));
  }
}

function threadsOf(text: string | undefined): number {
  if (text === undefined) {
    return Math.min(availableParallelism(), THREADS_MAX);
  }
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > THREADS_MAX) {
    throw new InputError({
      source: `--threads ${text}`,
      cause: `expected a whole number from 0 to ${THREADS_MAX}`,
      remedy: "Leave it out for one thread a core",
    });
  }
  return count;
}

function requireReadable(places: readonly string[], { machineCount, unreadable }: Fleet): void {
  if (unreadable.length === machineCount) {
    throw new InputError({
      source: places.join(" "),
      cause:
        machineCount === 0
          ? "there are no captures"
          : `none of ${machineCount} files is a capture; the first, ${unreadable[0]?.name}: ${unreadable[0]?.message}`,
      remedy: "Name folders with one capture a machine",
    });
  }
}
