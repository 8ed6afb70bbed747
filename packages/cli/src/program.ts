/**
 * Program: the command line as a whole, callable in-process.
 *
 * Commander parses; what it would print or exit with is turned into text on the given `Io` and a
 * returned exit code. One file a subcommand in `commands/`, loaded when it is asked for.
 */
import { Command, CommanderError, Help } from "commander";
import { COMMANDS } from "./command-list.ts";
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
  try {
    const program = await buildProgram(session, printed, argv);
    await program.parseAsync(argv, { from: "user" });
    return session.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      return reportError(error, io);
    }
    return finishParsing(error, io, printed).catch((failure: unknown) => reportError(failure, io));
  }
}

async function buildProgram(
  session: Session,
  printed: string[],
  argv: readonly string[],
): Promise<Command> {
  const program = new Command("peerbuf")
    .description("Will P2P DMA work between these two devices, why not, and the proof.")
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => printed.push(text),
      writeErr: () => undefined, // Told once, from the error that follows.
      getOutHelpWidth: () => COLUMNS_DEFAULT,
    })
    .configureHelp({ subcommandTerm: termOf })
    .addHelpText("after", PROGRAM_HELP);
  for (const [name, { load, description }] of Object.entries(COMMANDS)) {
    const command = argv.includes(name)
      ? await load(session)
      : new Command(name).description(description);
    program.addCommand(inheriting(program, command));
  }
  return program;
}

/** With what stands below it: whatever is wrong there is told, and counted, in the same way. */
function inheriting(parent: Command, command: Command): Command {
  command.copyInheritedSettings(parent);
  for (const below of command.commands) {
    inheriting(command, below);
  }
  return command;
}

/** As the command itself would show it; only one that is asked for is loaded. */
const termOf = (command: Command): string =>
  COMMANDS[command.name()]?.term ?? new Help().subcommandTerm(command);

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
