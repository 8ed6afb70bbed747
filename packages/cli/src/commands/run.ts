/**
 * Run: the main job. Negotiates and moves real bytes between the devices of a scenario, on a machine
 * modelled after a capture, and proves with checksums what arrived. With `--live` it tries real buffers on
 * this machine instead (`live/`).
 */
import { dirname, resolve } from "node:path";
import { InputError } from "@peerbuf/core";
import { KERNEL_DEFAULT, readLive, type Topology } from "@peerbuf/topology";
import { Command, Option } from "commander";
import { EXIT } from "../exit-code.ts";
import { runOnThisMachine } from "../live/live-command.ts";
import { type MachineChoice, openCapture } from "../machine-source.ts";
import { startProgress } from "../progress.ts";
import { embeddedScenario, embeddedText } from "../scenario/embedded.ts";
import { fitScenario } from "../scenario/fit-scenario.ts";
import { openCaptures } from "../scenario/open-captures.ts";
import { readScenarioFile, type ScenarioFile } from "../scenario/scenario-file.ts";
import type { Session } from "../session.ts";
import { type Outcome, outcomeAsJson } from "../transfer/outcome.ts";
import { OutcomeReport } from "../transfer/outcome-report.ts";
import { Rig } from "../transfer/rig.ts";
import { runTransfer } from "../transfer/run-transfer.ts";

interface RunOptions extends MachineChoice {
  readonly json?: boolean;
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
    .option(
      "-k, --kernel <version>",
      `whose P2PDMA rules, instead of the scenario's (default: ${KERNEL_DEFAULT})`,
    )
    .option("--print-scenario", "print the embedded scenario and do nothing")
    .option("--json", "the same as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf run\n  $ peerbuf scenario > mine.yaml && peerbuf run mine.yaml\n\nExit code: 0 when all bytes arrived, 1 when a transfer failed or its bytes were lost.",
    )
    .action(async (path: string | undefined, options: RunOptions) => {
      if (options.printScenario === true) {
        await session.io.stdout.write(await embeddedText());
      } else if (options.live === true && options.modelled !== true) {
        await runOnThisMachine(session, path, options);
      } else {
        checkModelled(options);
        await run(session, path, options);
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

async function run(session: Session, path: string | undefined, options: RunOptions): Promise<void> {
  const file =
    path === undefined ? await embeddedScenario() : await readScenarioFile(path, session.io.cwd);
  const folder = path === undefined ? session.io.cwd : dirname(resolve(session.io.cwd, path));
  const topologies = await chooseMachines(session, file, folder, options);
  using rig = new Rig(file, fitScenario(file, topologies), folder, options.kernel);
  const outcomes = await runAll(session, rig, options.json === true);
  const ok = outcomes.every(({ arrived }) => arrived);
  session.exitCode = ok ? EXIT.OK : EXIT.FINDING;
  if (options.json === true) {
    await session.printJson({ transfers: outcomes.map(outcomeAsJson), ok });
  }
}

/** The topology of each machine, by its name in the scenario. */
async function chooseMachines(
  { io }: Session,
  file: ScenarioFile,
  folder: string,
  options: RunOptions,
): Promise<Map<string, Topology>> {
  const names = Object.keys(file.scenario.machines);
  if (options.live !== true && options.capture === undefined) {
    return openCaptures(file, folder);
  }
  if (names.length > 1) {
    const cause = `the scenario has ${names.length} machines, --capture and --live name one`;
    throw file.problem(["machines"], cause, "Name a capture for each machine in the scenario");
  }
  const topology =
    options.capture === undefined ? readLive() : await openCapture(options.capture, io.cwd);
  return new Map(names.map((name) => [name, topology]));
}

/** People see each transfer as it ends; for JSON, which is written at the end, there is a bar. */
async function runAll(session: Session, rig: Rig, isJson: boolean): Promise<Outcome[]> {
  const { transfers } = rig;
  const report = new OutcomeReport(session, rig.sites);
  const progress = startProgress(session.io, "transfers", transfers.length);
  const outcomes: Outcome[] = [];
  for (const [index, plan] of transfers.entries()) {
    const outcome = await runTransfer(rig, plan, index + 1);
    outcomes.push(outcome);
    await (isJson
      ? progress.at(index + 1)
      : session.printLines(report.linesOf(outcome, index + 1)));
  }
  await (isJson ? progress.end() : session.printLines(report.summary(outcomes)));
  return outcomes;
}
