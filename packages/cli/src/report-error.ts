/**
 * Error report: one clear message on stderr, and the exit code that goes with it.
 *
 * A person's mistake and a refusal are told in a sentence, without a stack. Anything else is a bug of
 * ours and says so, with the stack that we will need.
 */
import { EXIT, type ExitCode } from "./exit-code.ts";
import { type Io, OutputFailed, PipeClosed } from "./io.ts";
import { paintFor } from "./paint.ts";

/** Tells what went wrong and returns the exit code. */
export async function reportError(error: unknown, io: Io): Promise<ExitCode> {
  if (error instanceof PipeClosed) {
    return EXIT.OK;
  }
  const { text, code } = await describe(error);
  const label = paintFor(io.stderr, io.env).bad("peerbuf:");
  try {
    await io.stderr.write(`${label} ${text}\n`);
  } catch (unheard) {
    if (!(unheard instanceof PipeClosed || unheard instanceof OutputFailed)) {
      throw unheard;
    }
  }
  return code;
}

/** What the errors are is loaded when there is one: an answer without any needs no core. */
async function describe(error: unknown): Promise<{ text: string; code: ExitCode }> {
  const { InputError, PeerbufError } = await import("@peerbuf/core");
  if (error instanceof InputError) {
    return { text: endSentence(error.message), code: EXIT.USAGE };
  }
  if (error instanceof PeerbufError) {
    return {
      text: `${endSentence(error.message)} [${error.code}, ${error.errno}]`,
      code: EXIT.FINDING,
    };
  }
  if (error instanceof OutputFailed) {
    return { text: endSentence(error.message), code: EXIT.FINDING };
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    text: `this is a bug in peerbuf, please report it with the lines below.\n${stack}`,
    code: EXIT.BUG,
  };
}

const endSentence = (text: string): string => oneLine(/[.!?]$/.test(text) ? text : `${text}.`);

/** Messages quote files and arguments, which may hold what a terminal would obey: shown as JSON would. */
export const oneLine = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => {
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped === character ? `\\u${hex4(character)}` : escaped;
  });

const hex4 = (character: string): string => character.charCodeAt(0).toString(16).padStart(4, "0");
