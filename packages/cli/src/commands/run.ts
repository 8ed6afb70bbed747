/**
 * Run: the main job. Negotiates and moves real bytes between the devices of a scenario, on a machine
 * modelled after a capture, and proves with checksums what arrived. With `--live` it tries real buffers on
 * this machine instead (`live/`). Each of the two is loaded when it is wanted.
 */
import { InputError } from "@peerbuf/core";
import { Command, Option } from "commander";
import type { Session } from "../session.ts";
import type { ModelledChoice } from "../transfer/modelled-run.ts";

interface RunOptions extends ModelledChoice {
  readonly printScenario?: boolean;
  readonly modelled?: boolean;
  readonly drive?: string;
  readonly mayOverwrite?: boolean;
}

export function runCommand(session: Session): Command {
  return new Command("run")
    .description(
      "negotiate and move real bytes on a modelled machine or this one, with the record and the proof",
    )
    .argument("[scenario]", "a scenario file; left out, the embedded one")
    .addOption(
      new Option(
        "-c, --capture <path>",
        "run on this machine instead of the scenario's: folder, tar, sysfs.json, or an embedded name",
      ).conflicts("live"),
    )
    .option("--live", "try real buffers on this machine; without hardware if there is none")
    .option(
      "--modelled",
      "with --live: run the scenario on a model of this machine, read from /sys",
    )
    .option("--drive <device>", "with --live: a real NVMe drive to write to and read back")
    .option("--may-overwrite", "the bytes on that drive may be overwritten")
    .option("-k, --kernel <version>", "whose P2PDMA rules, instead of the scenario's")
    .option("--print-scenario", "print the embedded scenario and do nothing")
    .option("--json", "the same as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf run\n  $ peerbuf scenario > mine.yaml && peerbuf run mine.yaml\n\nExit code: 0 when all bytes arrived, 1 when a transfer failed or its bytes were lost.",
    )
    .action(async (path: string | undefined, options: RunOptions) => {
      if (options.printScenario === true) {
        const { embeddedText } = await import("../scenario/embedded.ts");
        await session.io.stdout.write(await embeddedText());
      } else if (options.live === true && options.modelled !== true) {
        const { runOnThisMachine } = await import("../live/live-command.ts");
        await runOnThisMachine(session, path, options);
      } else {
        checkModelled(options);
        const { runModelled } = await import("../transfer/modelled-run.ts");
        await runModelled(session, path, options);
      }
    });
}

/** Options of the real machine have no meaning on a model. */
function checkModelled({ live, modelled, drive, mayOverwrite }: RunOptions): void {
  const options = {
    "--modelled": modelled === true && live !== true,
    "--drive": drive !== undefined,
    "--may-overwrite": mayOverwrite === true,
  };
  const [misfit] = Object.entries(options).find(([, isMisfit]) => isMisfit) ?? [];
  if (misfit !== undefined) {
    throw new InputError({
      source: misfit,
      cause: `it belongs to ${misfit === "--modelled" ? "--live" : "--live without --modelled"}`,
      remedy: "See peerbuf run --help",
    });
  }
}
