/**
 * Path matrix: the text of `nvidia-smi topo -m`.
 *
 * It holds classes of nearness and no tree, so the topology it gives has no functions; the matrix is
 * worth something next to another capture of the machine. Columns are counted, not measured: tabs,
 * spaces, terminal escapes and quote marks of a mail are all met.
 */
import { InputError } from "@peerbuf/core";
import { type Contradiction, factsNamed } from "../machine-facts.ts";
import { FACT_NAMES, missingFacts } from "../missing-fact.ts";
import type { PathClass, PathClassTable } from "../path-class.ts";
import type { Topology } from "../topology.ts";
import { buildTopology } from "../topology-builder.ts";
import type { CaptureHead } from "./capture-head.ts";
import { captureText, headText } from "./capture-text.ts";

/** Bytes of a matrix, at most; 512 devices take 1.5 MB. */
const MATRIX_BYTES_MAX = 4 * 2 ** 20;
/** Devices in a matrix, at most. */
export const MATRIX_COUNT_MAX = 512;

const NAME = "[A-Za-z][A-Za-z0-9_.:-]{0,31}";
const HEADER = /^\s*((?:GPU|NIC)\d+|mlx\w+)(?=\s)/;
const CLASS = /^(?:X|PIX|PXB|PHB|NODE|SYS|SOC|NV\d{1,3})$/;

export function looksLikeMatrix(head: CaptureHead): boolean {
  const lines = linesOf(headText(head));
  const header = lines.findIndex((line) => HEADER.test(line) && !isRow(line));
  const name = HEADER.exec(lines[header] ?? "")?.[1];
  const next = lines.slice(header + 1).find((line) => line.trim() !== "");
  return header >= 0 && name !== undefined && next?.trim().startsWith(name) === true;
}

/** Lines without terminal escapes, quote marks and carriage returns. */
const linesOf = (text: string): string[] =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal escapes are what is looked for
    .replace(/\u001b\[[0-9;]*[A-Za-z]/g, "")
    .split(/\r?\n/)
    .map((line) => line.replace(/^(?:> ?)+/, ""));

/** A row has classes after its name; the header has names. */
const isRow = (line: string): boolean => CLASS.test(line.trim().split(/\s+/)[1] ?? "");

/** @throws InputError naming the line for a class that does not exist, or a matrix that is too large */
export async function readMatrix(head: CaptureHead): Promise<Topology> {
  return topologyFromMatrix(head.path, await captureText(head, MATRIX_BYTES_MAX));
}

export function topologyFromMatrix(source: string, text: string): Topology {
  const table = tableOf(source, linesOf(text));
  return buildTopology(
    {
      ...factsNamed(source),
      format: "nvidia-smi topo -m",
      tree: "none",
      missing: missingFacts(...FACT_NAMES),
      pathClasses: table,
      contradictions: asymmetries(source, table),
    },
    [],
  );
}

function tableOf(source: string, lines: readonly string[]): PathClassTable {
  const at = lines.findIndex((line) => HEADER.test(line) && !isRow(line));
  const header = (lines[at] ?? "").trim();
  const columns = (header.split(/\s+CPU\b/, 1)[0] ?? "").split(/\s+/).filter((name) => name !== "");
  if (columns.length > MATRIX_COUNT_MAX) {
    const cause = `the matrix has ${columns.length} devices, at most ${MATRIX_COUNT_MAX} are read`;
    throw refused(source, at + 1, cause);
  }
  const known = new Set(columns);
  const rows = new Map<string, Row>();
  for (const [offset, line] of lines.slice(at + 1).entries()) {
    const [name = "", ...cells] = line.trim().split(/\s+/);
    if (known.has(name) && cells.length > 0 && !rows.has(name)) {
      rows.set(name, rowOf(source, at + 2 + offset, cells, columns.length));
    }
  }
  if (rows.size === 0) {
    throw refused(source, at + 1, "the matrix has no rows");
  }
  const lists = [...rows].map(([name, { rest }]) => [name, rest] as const);
  return {
    names: columns,
    classes: columns.map((name) => rows.get(name)?.classes ?? columns.map(() => undefined)),
    osNames: legendOf(lines),
    cpuLists: new Map(
      lists.flatMap(([name, [list]]) => (isList(list) ? [[name, list as string]] : [])),
    ),
    numaNodes: new Map(
      lists.flatMap(([name, [, node]]) =>
        /^\d{1,4}$/.test(node ?? "") ? [[name, Number(node)]] : [],
      ),
    ),
  };
}

interface Row {
  readonly classes: readonly (PathClass | undefined)[];
  /** What follows the classes: CPU affinity, NUMA affinity, NUMA id of the GPU. */
  readonly rest: readonly string[];
}

const isList = (text: string | undefined): boolean => /^[\d,-]+$/.test(text ?? "");

/** A row cut by a terminal has fewer cells; what is there is kept. */
function rowOf(source: string, line: number, cells: readonly string[], count: number): Row {
  const classes = Array.from({ length: count }, (_, column) =>
    cells[column] === undefined ? undefined : classOf(source, line, cells[column] as string),
  );
  return { classes, rest: cells.slice(count) };
}

function classOf(source: string, line: number, text: string): PathClass {
  if (!CLASS.test(text)) {
    const shown = JSON.stringify(text.slice(0, 20));
    throw refused(source, line, `${shown} is no class (X, PIX, PXB, PHB, NODE, SYS, NV#)`);
  }
  return text === "SOC" ? "SYS" : (text as PathClass);
}

/** `NIC0: mlx5_0` below `NIC Legend:`. */
function legendOf(lines: readonly string[]): Map<string, string> {
  const entry = new RegExp(`^\\s*(NIC\\d+):\\s*(${NAME})\\s*$`);
  return new Map(
    lines.flatMap((line): [string, string][] => {
      const [, name, osName] = entry.exec(line) ?? [];
      return name === undefined || osName === undefined ? [] : [[name, osName]];
    }),
  );
}

/** The two halves of a matrix say the same; a hand that edited one left the other. */
function asymmetries(source: string, { names, classes }: PathClassTable): Contradiction[] {
  return names.flatMap((name, row) =>
    names.slice(0, row).flatMap((other, column) => {
      const [here, there] = [classes[row]?.[column], classes[column]?.[row]];
      return here === undefined || there === undefined || here === there
        ? []
        : [
            {
              fact: `path class of ${name} and ${other}`,
              values: [
                { source: `${source} (row ${name})`, value: here },
                { source: `${source} (row ${other})`, value: there },
              ],
            },
          ];
    }),
  );
}

const refused = (source: string, line: number, cause: string): InputError =>
  new InputError({
    source,
    place: `line ${line}`,
    cause,
    remedy: "Name the output of nvidia-smi topo -m as it was printed",
  });
