/**
 * Capture: this machine's topology in one small file, for later or for a bug report.
 *
 * The file is written whole or not at all. What could not be read is said here and noted in the file.
 */

import { existsSync } from "node:fs";
import { InputError } from "@peerbuf/core";
import { captureMachine, liveTree, type MachineCapture } from "@peerbuf/topology";
import { Command } from "commander";
import { columns } from "../columns.ts";
import { pathFrom } from "../path-from.ts";
import { saveFile } from "../save-file.ts";
import type { Session } from "../session.ts";
import { wrap } from "../wrap.ts";

const FILE_DEFAULT = "peerbuf-capture.json.gz";
/** The file name that means standard output. */
const STANDARD_OUTPUT = "-";

interface CaptureCommandOptions {
  readonly redact?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function captureCommand(session: Session): Command {
  return new Command("capture")
    .description("save this machine's topology in one small file that every command reads")
    .argument("[file]", "where to; - for standard output", FILE_DEFAULT)
    .option("--live", "this machine, which it always is")
    .option("--redact", "without serial numbers and addresses; every verdict stays what it is")
    .option("-f, --force", "replace a file that is there")
    .option("--json", "say what was written as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf capture node-17.json.gz --redact\n\nExit code: 0 when it is written, 2 when it cannot be.",
    )
    .action(async (file: string, options: CaptureCommandOptions) =>
      capture(session, file, options),
    );
}

async function capture(
  session: Session,
  file: string,
  options: CaptureCommandOptions,
): Promise<void> {
  const isPiped = file === STANDARD_OUTPUT;
  const path = pathFrom(session.io.cwd, file);
  if (!isPiped && options.force !== true && existsSync(path)) {
    throw new InputError({
      source: file,
      cause: "there is such a file already",
      remedy: "Name another one, or replace it with --force",
    });
  }
  const captured = captureMachine(liveTree(), { redact: options.redact === true });
  if (isPiped) {
    await session.io.stdout.write(captured.bytes);
    await session.io.stderr.write(`${asLines(session, "the capture", captured).join("\n")}\n`);
    return;
  }
  saveFile(path, captured.bytes);
  if (options.json === true) {
    await session.printJson(asJson(file, options.redact === true, captured));
  } else {
    await session.printLines(asLines(session, file, captured));
  }
}

const asJson = (file: string, isRedacted: boolean, captured: MachineCapture): unknown => ({
  file,
  bytes: captured.bytes.length,
  functionCount: captured.functionCount,
  headerOnlyCount: captured.headerOnlyCount,
  redacted: isRedacted,
  notReadable: captured.notReadable,
});

function asLines(session: Session, file: string, captured: MachineCapture): string[] {
  const { paint, io } = session;
  const { bytes, functionCount, headerOnlyCount, notReadable } = captured;
  const functions = functionCount === 1 ? "1 PCI function" : `${functionCount} PCI functions`;
  const size = `${(bytes.length / 1024).toFixed(1)} KiB`;
  const lines = [`${file} is written: ${paint.strong(functions)}, ${size}.`];
  if (functionCount === 0) {
    lines.push(
      "This machine shows no PCI functions (a container or a virtual machine may hide them).",
    );
  }
  if (headerOnlyCount > 0) {
    const text = `Of ${headerOnlyCount} functions only the header could be read, so ACS is not known and most verdicts will hang on it. Capture again as root.`;
    lines.push(...wrap(text, io.stdout.columns).map((line) => paint.fair(line)));
  }
  if (notReadable.length > 0) {
    lines.push(
      "",
      "Not in it, with what would show it:",
      ...columns(
        notReadable.map(({ fact, command }) => [fact, paint.faint(command)]),
        { indent: 2 },
      ),
    );
  }
  return lines;
}
