/**
 * Matrix: the verdict on every ordered pair of functions, as a table, JSON or CSV.
 *
 * JSON and CSV are written provider by provider and wait for the reader, so that a machine of
 * thousands of functions needs no more memory than a small one.
 */
import type { PathType } from "@peerbuf/core";
import { judgeAllPairs, judgePair, type KernelRules, type Topology } from "@peerbuf/topology";
import { Command, Option } from "commander";
import { columns } from "../columns.ts";
import { describeFunction, isInteresting, shortBdf, shortNames } from "../function-label.ts";
import { addMachineOptions, type MachineChoice, openMachine } from "../machine-source.ts";
import { startProgress } from "../progress.ts";
import type { Session } from "../session.ts";
import { paintType } from "../verdict-words.ts";

/** Functions in a table for people; above, they get the sums. */
const TABLE_FUNCTIONS_MAX = 64;
/** Characters gathered before they are written. */
const CHUNK_CHARACTERS = 64 * 1024;

interface MatrixOptions extends MachineChoice {
  readonly all?: boolean;
  readonly json?: boolean;
  readonly csv?: boolean;
}

/** What is judged. */
interface Field {
  readonly topology: Topology;
  readonly rules: KernelRules;
  readonly rows: Int32Array;
}

export function matrixCommand(session: Session): Command {
  return addMachineOptions(new Command("matrix"))
    .description("what P2P DMA will do between all devices of a machine")
    .option("-a, --all", "every function that is no bridge, not only GPUs, NICs and NVMe drives")
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
  const rows = topology.endpoints.filter(
    (row) => options.all === true || isInteresting(topology, row),
  );
  const field = { topology, rules, rows };
  if (options.json === true) {
    await stream(session, field, jsonPieces(field));
  } else if (options.csv === true) {
    await stream(session, field, csvPieces(field));
  } else {
    await session.printLines(tableLines(session, field, options.all === true));
  }
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
    await progress.at(done);
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

const SYMBOLS: Readonly<Record<PathType, string>> = {
  "bus-addr": "bus",
  "host-bridge": "host",
  unsupported: "-",
  unknown: "?",
};

function tableLines(session: Session, field: Field, isAll: boolean): string[] {
  const { topology, rules, rows } = field;
  const what = isAll ? "functions" : "GPUs, accelerators, NICs and NVMe drives";
  const head = [
    session.paint.strong(`P2P DMA on ${topology.facts.source}`),
    session.paint.faint(`${rows.length} ${what}, rules of ${rules.name}`),
    "",
  ];
  if (rows.length === 0) {
    return [...head, "Nothing to judge: the machine has none of them."];
  }
  const body = rows.length > TABLE_FUNCTIONS_MAX ? sums(session, field) : cells(session, field);
  return [...head, ...body, "", ...legend(session)];
}

function cells(session: Session, { topology, rules, rows }: Field): string[] {
  const { paint, io } = session;
  const pairs = judgeAllPairs(topology, rules, rows);
  const names = shortNames(topology);
  const nameOf = (row: number): string => names.get(row) ?? "";
  const width = Math.max(...Array.from(rows, (row) => nameOf(row).length), 4);
  const left = Math.max(...Array.from(rows, (row) => shortBdf(topology.bdfOf(row)).length)) + width;
  const perBlock = Math.max(1, Math.floor((io.stdout.columns - left - 4) / (width + 2)));
  const lines: string[] = [];
  for (let start = 0; start < rows.length; start += perBlock) {
    const clients = rows.subarray(start, start + perBlock);
    const header = ["", "to", ...Array.from(clients, (row) => paint.name(nameOf(row)))];
    const body = Array.from(rows, (provider) => [
      paint.name(nameOf(provider)),
      shortBdf(topology.bdfOf(provider)),
      ...Array.from(clients, (client) => {
        const type = pairs.typeAt(pairs.positionOf(provider), pairs.positionOf(client));
        return paintType(paint, type, provider === client ? "·" : SYMBOLS[type]);
      }),
    ]);
    lines.push(...(start > 0 ? [""] : []), ...columns([header, ...body]));
  }
  return [...lines, "", ...whatTheyAre(session, topology, rows)];
}

function whatTheyAre({ paint }: Session, topology: Topology, rows: Int32Array): string[] {
  const names = shortNames(topology);
  return columns(
    Array.from(rows, (row) => [
      paint.name(names.get(row) ?? ""),
      topology.bdfOf(row),
      paint.faint(describeFunction(topology, row)),
    ]),
  );
}

function sums({ paint }: Session, { topology, rules, rows }: Field): string[] {
  const counts = judgeAllPairs(topology, rules, rows).counts();
  const body = Object.entries(counts).map(([type, count]) => [
    paintType(paint, type as PathType, type),
    count.toLocaleString("en-GB").padStart(12),
  ]);
  return [
    ...columns([["ordered pairs", ""], ...body]),
    "",
    `A table of ${rows.length} columns helps nobody: --json and --csv have every pair.`,
  ];
}

function legend({ paint }: Session): string[] {
  return [
    ...columns([
      [paint.good("bus"), "turns round below the root complex (bus-addr)"],
      [paint.fair("host"), "goes through the root complex (host-bridge)"],
      [paint.bad("-"), "the kernel does not map it (unsupported): system memory instead"],
      [paint.faint("?"), "the capture does not say (unknown)"],
    ]),
    paint.faint("Rows own the memory, columns read and write it. Why: peerbuf explain ROW COLUMN"),
  ];
}
