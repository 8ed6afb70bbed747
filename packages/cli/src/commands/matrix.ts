/**
 * Matrix: the verdict on every ordered pair of functions, as a table, JSON or CSV.
 *
 * JSON and CSV are written provider by provider and wait for the reader, so that a machine of
 * thousands of functions needs no more memory than a small one.
 */
import { judgePair, rulesForKernel } from "@peerbuf/topology";
import { Command, Option } from "commander";
import { rowsBetween } from "../between.ts";
import { changesAsJson, changesBetween, changesLines } from "../kernel-comparison.ts";
import { addMachineOptions, type MachineChoice, openMachine } from "../machine-source.ts";
import { type Field, tableLines } from "../matrix-table.ts";
import { startProgress } from "../progress.ts";
import type { Session } from "../session.ts";

/** Characters gathered before they are written. */
const CHUNK_CHARACTERS = 64 * 1024;

interface MatrixOptions extends MachineChoice {
  readonly all?: boolean;
  readonly between?: string;
  readonly compareKernel?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

export function matrixCommand(session: Session): Command {
  return addMachineOptions(new Command("matrix"))
    .description("what P2P DMA will do between all devices of a machine")
    .option("-a, --all", "every function that is no bridge, not only GPUs, NICs and NVMe drives")
    .option("-b, --between <names>", "only these: kinds (gpu,nic,nvme) or names, with commas")
    .addOption(
      new Option(
        "--compare-kernel <version>",
        "only the pairs that this kernel judges otherwise",
      ).conflicts("csv"),
    )
    .addOption(new Option("--json", "every pair with its reasons, as JSON").conflicts("csv"))
    .option("--csv", "every pair, as CSV")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf matrix --capture server-05\n\nExit code: 0, whatever the verdicts are.",
    )
    .action(async (options: MatrixOptions) => matrix(session, options));
}

async function matrix(session: Session, options: MatrixOptions): Promise<void> {
  const { topology, rules } = await openMachine(options, session.io.cwd);
  const rows = options.all === true ? topology.endpoints : rowsBetween(topology, options.between);
  const field = { topology, rules, rows };
  if (options.compareKernel !== undefined) {
    const changes = changesBetween(field, rulesForKernel(options.compareKernel));
    await (options.json === true
      ? session.printJson(changesAsJson(changes))
      : session.printLines(changesLines(session, changes)));
    return;
  }
  if (options.json === true) {
    await stream(session, field, jsonPieces(field));
  } else if (options.csv === true) {
    await stream(session, field, csvPieces(field));
  } else {
    await session.printLines(await tableLines(session, field, wordsFor(options)));
  }
}

function wordsFor({ all, between }: MatrixOptions): string {
  if (all === true) {
    return "functions that are no bridges";
  }
  return between === undefined ? "GPUs, accelerators, NICs and NVMe drives" : "functions chosen";
}

/** A piece of output; `done` providers are told. */
interface Piece {
  readonly text: string;
  readonly done: number;
}

async function stream(session: Session, { rows }: Field, pieces: Iterable<Piece>): Promise<void> {
  const progress = startProgress(session.io, "pairs", rows.length);
  for (const { text, done } of chunked(pieces)) {
    await session.io.stdout.write(text);
    if (!session.io.stdout.isTerminal) {
      await progress.at(done); // On a terminal the answer itself is what moves.
    }
  }
  await progress.end();
}

function* chunked(pieces: Iterable<Piece>): Generator<Piece> {
  let text = "";
  let done = 0;
  for (const piece of pieces) {
    text += piece.text;
    done = piece.done;
    if (text.length >= CHUNK_CHARACTERS) {
      yield { text, done };
      text = "";
    }
  }
  yield { text, done };
}

function* jsonPieces({ topology, rules, rows }: Field): Generator<Piece> {
  yield { text: `{"kernel":${JSON.stringify(rules.version)},"pairs":[`, done: 0 };
  let separator = "\n";
  let done = 0;
  for (const provider of rows) {
    for (const client of rows) {
      const { type, distance, reasons } = judgePair(topology, rules, provider, client);
      const pair = {
        provider: topology.bdfOf(provider),
        client: topology.bdfOf(client),
        type,
        distance,
        reasons,
      };
      yield { text: separator + JSON.stringify(pair), done };
      separator = ",\n";
    }
    done += 1;
  }
  yield { text: "\n]}\n", done };
}

function* csvPieces({ topology, rules, rows }: Field): Generator<Piece> {
  yield { text: "provider,client,type,distance\n", done: 0 };
  let done = 0;
  for (const provider of rows) {
    for (const client of rows) {
      const { type, distance } = judgePair(topology, rules, provider, client);
      const names = `${topology.bdfOf(provider)},${topology.bdfOf(client)}`;
      yield { text: `${names},${type},${distance}\n`, done };
    }
    done += 1;
  }
}
