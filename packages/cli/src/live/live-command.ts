/**
 * Live command: `run --live`, from what a person typed to the exit code.
 *
 * The real platform is loaded here and not before, so that no other command needs native code.
 */
import { InputError } from "@peerbuf/core";
import { EXIT } from "../exit-code.ts";
import { requireLinux } from "../linux-only.ts";
import { pathFrom } from "../path-from.ts";
import type { Session } from "../session.ts";
import { liveRunAsJson } from "./live-json.ts";
import { liveSummary, liveTransferLines } from "./live-report.ts";
import { runLive } from "./live-run.ts";

export interface LiveChoice {
  readonly kernel?: string | undefined;
  readonly drive?: string;
  readonly mayOverwrite?: boolean;
  readonly json?: boolean;
}

/** @throws InputError for what has no meaning with real buffers */
export async function runOnThisMachine(
  session: Session,
  scenario: string | undefined,
  choice: LiveChoice,
): Promise<void> {
  checkChoice(scenario, choice);
  requireLinux();
  const linux = await import("@peerbuf/linux");
  let number = 0;
  const run = await runLive(linux, {
    drive: choice.drive === undefined ? undefined : pathFrom(session.io.cwd, choice.drive),
    onTransfer: async (transfer) => {
      number += 1;
      if (choice.json !== true) {
        await session.printLines(liveTransferLines(session, transfer, number));
      }
    },
  });
  session.exitCode = run.isOk ? EXIT.OK : EXIT.FINDING;
  await (choice.json === true
    ? session.printJson(liveRunAsJson(run))
    : session.printLines(liveSummary(session, run)));
}

function checkChoice(
  scenario: string | undefined,
  { kernel, drive, mayOverwrite }: LiveChoice,
): void {
  const misfit = scenario ?? (kernel === undefined ? undefined : "--kernel");
  if (misfit !== undefined) {
    throw new InputError({
      source: misfit,
      cause: "with --live real buffers are tried, and this is for a modelled machine",
      remedy: "Add --modelled to run on a model of this machine, or leave it out",
    });
  }
  if (drive !== undefined && mayOverwrite !== true) {
    throw new InputError({
      source: drive,
      cause: "the first 2 MiB of the drive would be overwritten, and put back afterwards",
      remedy: "Add --may-overwrite if nothing on this drive is needed",
    });
  }
}
