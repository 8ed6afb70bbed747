/**
 * Matrix table: the verdicts between functions for people, as wide as their terminal.
 */
import type { PathType } from "@peerbuf/core";
import {
  type DeviceNames,
  judgeAllPairs,
  type KernelRules,
  type Topology,
} from "@peerbuf/topology";
import { columns } from "./columns.ts";
import { emptyAnswer } from "./empty-answer.ts";
import { modelName, shortBdf, shortNames } from "./function-label.ts";
import type { Session } from "./session.ts";
import { paintType } from "./verdict-words.ts";
import { wrap } from "./wrap.ts";

/** Functions in a table for people; above, they get the sums. */
const TABLE_FUNCTIONS_MAX = 64;

/** What is judged. */
export interface Field {
  readonly topology: Topology;
  readonly rules: KernelRules;
  readonly rows: Int32Array;
}

const SYMBOLS: Readonly<Record<PathType, string>> = {
  "bus-addr": "bus",
  "host-bridge": "host",
  unsupported: "-",
  unknown: "?",
};

/** The whole answer: head, table, what the names mean, legend. `what` says which functions these are. */
export async function tableLines(session: Session, field: Field, what: string): Promise<string[]> {
  const { topology, rules, rows } = field;
  const head = [
    session.paint.strong(`P2P DMA on ${topology.facts.source}`),
    session.paint.faint(`${what}: ${rows.length}, by the rules of ${rules.name}`),
    "",
  ];
  if (rows.length === 0) {
    return [...head, emptyAnswer(topology, 0).text];
  }
  const body =
    rows.length > TABLE_FUNCTIONS_MAX
      ? sums(session, field)
      : [
          ...cells(session, field),
          "",
          ...whatTheyAre(session, await session.names(), topology, rows),
        ];
  return [...head, ...body, "", ...legend(session), ...withoutRoot(session, topology)];
}

/** What a user without root gets to read of a function's config space. */
const HEADER_BYTES = 64;

/** Where that is all, ACS is not known, and a person can change it. */
function withoutRoot({ paint, io }: Session, { table, count }: Topology): string[] {
  const headerOnly = table.configLength.filter((length) => length === HEADER_BYTES).length;
  if (headerOnly === 0) {
    return [];
  }
  const text = `Only the header of ${headerOnly} functions (of ${count}) was read, as without root, so ACS is not known and verdicts that hang on it are ?. Run it, or capture, as root.`;
  return ["", ...wrap(text, io.stdout.columns).map((line) => paint.fair(line))];
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
  return lines;
}

/** One line each, cut at the terminal's edge. */
function whatTheyAre(
  { paint, io }: Session,
  models: DeviceNames,
  topology: Topology,
  rows: Int32Array,
): string[] {
  const names = shortNames(topology);
  const nameOf = (row: number): string => names.get(row) ?? "";
  const left = Math.max(
    ...Array.from(rows, (row) => nameOf(row).length + topology.bdfOf(row).length + 4),
  );
  return columns(
    Array.from(rows, (row) => [
      paint.name(nameOf(row)),
      topology.bdfOf(row),
      paint.faint(cut(modelName(models, topology, row), io.stdout.columns - left)),
    ]),
  );
}

const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(1, width - 1))}…`;

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
