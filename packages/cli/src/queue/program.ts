/**
 * Program: what makes sure that all who explore a driver together explore the same one.
 *
 * The files of the driver (itself and what it imports by relative paths), the version of peerbuf, and the first runs of
 * every scenario, which also tell apart what comes from installed packages.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { InputError } from "@peerbuf/core";
import { explore, FAULT_KINDS, type Scenario } from "@peerbuf/testkit";
import { VERSION } from "../version.ts";

/** Plain data: it goes with every share. */
export interface Program {
  readonly driver: string;
  readonly peerbuf: string;
  /** SHA-256 over the driver's files, hexadecimal. */
  readonly files: string;
  /** Over the first runs of all its scenarios. */
  readonly runs: string;
}

const FIRST_RUNS = 16;
const FILES_MAX = 1_000;

export async function programOf(
  path: string,
  driver: string,
  scenarios: readonly Scenario[],
): Promise<Program> {
  const runs: string[] = [];
  for (const scenario of scenarios) {
    runs.push(await firstRuns(scenario));
  }
  const digest = createHash("sha256").update(runs.join(" ")).digest("hex");
  return { driver, peerbuf: VERSION, files: filesDigest(path), runs: digest };
}

async function firstRuns(scenario: Scenario): Promise<string> {
  const options = { schedules: FIRST_RUNS, faults: FAULT_KINDS, faultsMax: 2, goesOn: true };
  const hash = await explore(scenario, options).then(
    (report) => report.hash,
    () => "cannot begin",
  );
  return `${scenario.name} ${hash}`;
}

/** The same files give the same digest, wherever they are. */
function filesDigest(path: string): string {
  const hash = createHash("sha256");
  const known = new Set([path]);
  for (const file of known) {
    const text = readFileSync(file, "utf8");
    hash.update(createHash("sha256").update(text).digest());
    for (const next of importedFiles(file, text)) {
      if (known.size < FILES_MAX) {
        known.add(next);
      }
    }
  }
  return hash.digest("hex");
}

/** By what looks like a relative import: a mention in a comment only adds a file that is there. */
function importedFiles(file: string, text: string): string[] {
  const mentions = text.matchAll(/(?:from|import|require)\s*\(?\s*["'](\.[^"'\n]*)["']/g);
  return [...mentions].flatMap(([, name = ""]) => {
    const base = resolve(dirname(file), name);
    const forms = ["", ".ts", ".js", ".mjs", "/index.ts", "/index.js"].map((end) => base + end);
    const found = [...forms, base.replace(/\.js$/, ".ts")].find(isFile);
    return found === undefined ? [] : [found];
  });
}

const isFile = (path: string): boolean => existsSync(path) && statSync(path).isFile();

/** `InputError` when they differ: what `ours` finds would not be true of `theirs`. */
export function requireSame(source: string, ours: Program, theirs: Program): void {
  const difference = differenceOf(ours, theirs);
  if (difference !== undefined) {
    throw new InputError({
      source,
      cause: `the campaign is of another program: ${difference}`,
      remedy: "Bring the same driver, packages and peerbuf to both machines",
    });
  }
}

function differenceOf(ours: Program, theirs: Program): string | undefined {
  if (ours.peerbuf !== theirs.peerbuf) {
    return `peerbuf ${theirs.peerbuf} there, ${ours.peerbuf} here`;
  }
  if (ours.files !== theirs.files) {
    const short = (digest: string): string => digest.slice(0, 12);
    return `the driver's files differ (${short(theirs.files)} there, ${short(ours.files)} here)`;
  }
  return ours.runs === theirs.runs
    ? undefined
    : "the driver's files are the same, but its first runs differ: so do packages that it uses";
}
