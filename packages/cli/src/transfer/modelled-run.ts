/**
 * Modelled run: all transfers of a scenario, one after the other, told as they end.
 */
import { dirname, resolve } from "node:path";
import { readLive, type Topology } from "@peerbuf/topology";
import { EXIT } from "../exit-code.ts";
import { type MachineChoice, openCapture } from "../machine-source.ts";
import { startProgress } from "../progress.ts";
import { embeddedScenario } from "../scenario/embedded.ts";
import { fitScenario } from "../scenario/fit-scenario.ts";
import { openCaptures } from "../scenario/open-captures.ts";
import { readScenarioFile, type ScenarioFile } from "../scenario/scenario-file.ts";
import type { Session } from "../session.ts";
import { type Outcome, outcomeAsJson } from "./outcome.ts";
import { OutcomeReport } from "./outcome-report.ts";
import { Rig } from "./rig.ts";
import { runTransfer } from "./run-transfer.ts";

export interface ModelledChoice extends MachineChoice {
  readonly json?: boolean;
}

/** Moves what the scenario says (the embedded one where none is named), and tells how it went. */
export async function runModelled(
  session: Session,
  path: string | undefined,
  options: ModelledChoice,
): Promise<void> {
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
  options: ModelledChoice,
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
