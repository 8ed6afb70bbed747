/**
 * Program: the command line as a whole, callable in-process.
 *
 * Commander parses; what it would print or exit with is turned into text on the given `Io` and a
 * returned exit code. One file a subcommand in `commands/`.
 */
import { Command, CommanderError } from "commander";
import { benchCommand } from "./commands/bench.ts";
import { bufsCommand } from "./commands/bufs.ts";
import { captureCommand } from "./commands/capture.ts";
import { checkCommand } from "./commands/check.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { explainCommand } from "./commands/explain.ts";
import { exploreCommand } from "./commands/explore.ts";
import { fleetCommand } from "./commands/fleet.ts";
import { matrixCommand } from "./commands/matrix.ts";
import { newCommand } from "./commands/new.ts";
import { runCommand } from "./commands/run.ts";
import { scenarioCommand } from "./commands/scenario.ts";
import { topoCommand } from "./commands/topo.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { COLUMNS_DEFAULT, type Io } from "./io.ts";
import { paintFor } from "./paint.ts";
import { oneLine, reportError } from "./report-error.ts";
import { Session } from "./session.ts";
import { VERSION } from "./version.ts";

/**
 * Runs one command. Never throws and never exits: the answer is the exit code.
 * @param argv what stands behind `peerbuf` on the command line
 */
export async function main(argv: readonly string[], io: Io): Promise<ExitCode> {
  const session = new Session(io);
  const printed: string[] = [];
  const program = buildProgram(session, printed);
  try {
    await program.parseAsync(argv, { from: "user" });
    return session.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      return reportError(error, io);
    }
    return finishParsing(error, io, printed).catch((failure: unknown) => reportError(failure, io));
  }
}

function buildProgram(session: Session, printed: string[]): Command {
  const program = new Command("peerbuf")
    .description("Will P2P DMA work between these two devices, why not, and the proof.")
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => printed.push(text),
      writeErr: () => undefined, // Told once, from the error that follows.
      getOutHelpWidth: () => COLUMNS_DEFAULT,
    })
    .addHelpText("after", PROGRAM_HELP);
  const commands = [
    runCommand,
    scenarioCommand,
    doctorCommand,
    matrixCommand,
    explainCommand,
    topoCommand,
    captureCommand,
    fleetCommand,
    bufsCommand,
    checkCommand,
    exploreCommand,
    newCommand,
    benchCommand,
  ];
  for (const make of commands) {
    program.addCommand(make(session).copyInheritedSettings(program));
  }
  return program;
}

const PROGRAM_HELP = `
Example:
  $ peerbuf doctor              what keeps this machine from P2P DMA, and the fix
  $ peerbuf run                 the proof, on a machine that comes with peerbuf

Exit codes: 0 yes or fine, 1 a real finding or failure, 2 wrong usage or unreadable input,
70 a bug in peerbuf.`;

/** Help and version are answers; everything else commander objects to is wrong usage. */
async function finishParsing(
  error: CommanderError,
  io: Io,
  printed: readonly string[],
): Promise<ExitCode> {
  if (error.exitCode === 0) {
    await io.stdout.write(printed.join(""));
    return EXIT.OK;
  }
  const isBare = error.code === "commander.help";
  const cause = isBare ? "say which command" : error.message.replace(/^error: |\.$/g, "");
  const label = paintFor(io.stderr, io.env).bad("peerbuf:");
  await io.stderr.write(`${label} ${oneLine(cause.replaceAll("\n", " "))}. See peerbuf --help.\n`);
  return EXIT.USAGE;
}
