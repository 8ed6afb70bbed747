/**
 * Bufs: every dma-buf of this Linux machine, and who holds it.
 *
 * The real platform is loaded here and not before, so that no other command needs native code.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { InputError, PeerbufError } from "@peerbuf/core";
import type { Survey, SurveyOptions } from "@peerbuf/linux";
import { Command } from "commander";
import { bufsAsJson } from "../bufs/bufs-json.ts";
import { bufsLines } from "../bufs/bufs-report.ts";
import { requireLinux } from "../linux-only.ts";
import type { Session } from "../session.ts";

const WATCH_SECONDS_DEFAULT = 1;
const WATCH_SECONDS_MIN = 0.1;
const WATCH_SECONDS_MAX = 86_400;

/** Sequences of a terminal: its second screen, where long lines are cut and not wrapped; the cursor's home. */
const SCREEN = {
  open: "\u001b[?1049h\u001b[?7l",
  close: "\u001b[?7h\u001b[?1049l",
  home: "\u001b[H",
} as const;
/** What is behind the cursor. */
const CLEAR = { lineEnd: "\u001b[K", below: "\u001b[J" } as const;

interface BufsOptions {
  readonly watch?: string | true;
  readonly root?: string;
  readonly json?: boolean;
}

export function bufsCommand(session: Session): Command {
  return new Command("bufs")
    .description("every dma-buf on this Linux machine, and who holds it")
    .option(
      "-w, --watch [seconds]",
      `look again every so often (default: ${WATCH_SECONDS_DEFAULT})`,
    )
    .option("--root <folder>", "where the machine's proc and sys are, as /host in a container")
    .option("--json", "as JSON; with --watch a line each time")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf bufs --watch\n\nExit code: 0, also when there are none; 2 when this is not Linux.",
    )
    .action(async (options: BufsOptions) => bufs(session, options));
}

async function bufs(session: Session, options: BufsOptions): Promise<void> {
  const look = await surveyor(options);
  if (options.watch !== undefined) {
    await watch(session, look, secondsOf(options.watch), options.json === true);
  } else if (options.json === true) {
    await session.printJson(bufsAsJson(look()));
  } else {
    await session.printLines(bufsLines(session, look()));
  }
}

/** A function that looks once. */
async function surveyor({ root }: BufsOptions): Promise<() => Survey> {
  if (root === undefined) {
    requireLinux();
  }
  const { surveyBuffers } = await import("@peerbuf/linux");
  const options: SurveyOptions = root === undefined ? {} : { root };
  return () => {
    try {
      return surveyBuffers(options);
    } catch (error) {
      throw error instanceof PeerbufError && error.code === "PLATFORM_MISSING"
        ? notThere(root ?? "this machine")
        : error;
    }
  };
}

const notThere = (source: string): InputError =>
  new InputError({
    source,
    cause: "there is no proc folder with processes in it",
    remedy: "Mount /proc, or name with --root the folder in which the machine's proc and sys are",
  });

function secondsOf(text: string | true): number {
  const seconds = text === true ? WATCH_SECONDS_DEFAULT : Number(text);
  if (!(seconds >= WATCH_SECONDS_MIN && seconds <= WATCH_SECONDS_MAX)) {
    throw new InputError({
      source: "--watch",
      cause: `"${text}" is no number of seconds`,
      remedy: `Name ${WATCH_SECONDS_MIN} to ${WATCH_SECONDS_MAX} seconds`,
    });
  }
  return seconds;
}

/** Until the person has seen enough. */
async function watch(
  session: Session,
  look: () => Survey,
  seconds: number,
  isJson: boolean,
): Promise<void> {
  const { stdout, interrupted } = session.io;
  const signal = interrupted?.() ?? new AbortController().signal;
  const hasScreen = stdout.isTerminal && !isJson;
  const first = look();
  let survey = first;
  const screen = async (text: string): Promise<void> =>
    hasScreen ? stdout.write(text) : undefined;
  await screen(SCREEN.open);
  try {
    while (!signal.aborted) {
      const text = isJson
        ? `${JSON.stringify(bufsAsJson(survey))}\n`
        : page(session, bufsLines(session, survey, first), seconds);
      await stdout.write(text);
      await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
      survey = signal.aborted ? survey : look();
    }
  } finally {
    await screen(SCREEN.close);
  }
}

/** A terminal is drawn over, as far as its lines go; anything else gets one answer after the other. */
function page(
  { io: { stdout }, paint }: Session,
  lines: readonly string[],
  seconds: number,
): string {
  if (!stdout.isTerminal) {
    return [...lines, "", ""].join("\n");
  }
  const room = Math.max(1, (stdout.rows ?? lines.length + 2) - 2);
  const shown = lines.slice(0, room);
  const hidden = lines.length - shown.length;
  const note = `${hidden > 0 ? `${hidden} more lines; ` : ""}every ${seconds} s, ctrl-C ends`;
  const rows = [...shown, paint.faint(note)];
  return `${SCREEN.home}${rows.map((row) => `${row}${CLEAR.lineEnd}`).join("\n")}${CLEAR.below}`;
}
