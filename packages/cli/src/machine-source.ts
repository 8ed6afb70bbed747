/**
 * Machine source: which machine a command speaks about, and by which kernel's rules.
 *
 * A capture on disk wins over an embedded one of the same name: what a person has in front of them
 * is what they mean.
 */
import { existsSync, readdirSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@peerbuf/core";
import {
  KERNEL_DEFAULT,
  type KernelRules,
  readCaptures,
  readLive,
  rulesForKernel,
  Topology,
} from "@peerbuf/topology";
import { type Command, Option } from "commander";
import { pathFrom } from "./path-from.ts";

/** The embedded capture that is used when nobody says which machine. */
export const CAPTURE_DEFAULT = "server-05";

/** A capture that comes through a pipe. */
const STANDARD_INPUT = "-";

/** Beside `src` and `dist`. */
const CAPTURES = fileURLToPath(new URL("../captures", import.meta.url));

export interface MachineChoice {
  /** Paths, names of embedded captures, `-` for what comes through a pipe. Several are of one machine. */
  readonly capture?: string | readonly string[] | undefined;
  readonly live?: boolean | undefined;
  readonly kernel?: string | undefined;
}

/** Whose rules, and which machine, when nobody says. */
export interface MachineDefaults {
  /** `own`: this machine and its own kernel. `demo`: the embedded capture and `KERNEL_DEFAULT`. */
  readonly machine: "own" | "demo";
}

const DEMO: MachineDefaults = { machine: "demo" };

/** The options that say which machine; the same for every command. */
export function addMachineOptions(command: Command, { machine }: MachineDefaults = DEMO): Command {
  const isDemo = machine === "demo";
  const what = "a capture in any form, or an embedded one by name; several of one machine";
  const whose = isDemo ? `default: ${CAPTURE_DEFAULT}` : "default: this machine";
  return command
    .addOption(
      new Option("-c, --capture <path>", `${what} complete each other (${whose})`)
        .argParser((path: string, before: readonly string[] = []) => [...before, path])
        .conflicts("live"),
    )
    .option("--live", "this machine")
    .addOption(
      isDemo
        ? new Option("-k, --kernel <version>", "whose P2PDMA rules").default(KERNEL_DEFAULT)
        : new Option("-k, --kernel <version>", "whose P2PDMA rules (default: the machine's own)"),
    );
}

/** @throws InputError for a machine or kernel that cannot be read or is not known */
export async function openMachine(
  choice: MachineChoice,
  cwd: string,
  { machine }: MachineDefaults = DEMO,
): Promise<{ topology: Topology; rules: KernelRules }> {
  const chosen = choice.kernel === undefined ? undefined : rulesForKernel(choice.kernel);
  const isLive = choice.live === true || (machine === "own" && choice.capture === undefined);
  const topology = isLive ? readLive() : await openCapture(choice.capture ?? CAPTURE_DEFAULT, cwd);
  return { topology, rules: chosen ?? ownRules(topology) };
}

/** The rules of the machine's own kernel; where these are not known, those of `KERNEL_DEFAULT`. */
const ownRules = ({ facts }: Topology): KernelRules =>
  knownRules(facts.kernelRelease) ?? rulesForKernel(KERNEL_DEFAULT);

/** Undefined for a kernel that was not captured, or whose rules are not known. */
export function knownRules(kernelRelease: string | undefined): KernelRules | undefined {
  try {
    return kernelRelease === undefined ? undefined : rulesForKernel(kernelRelease);
  } catch (error) {
    if (error instanceof InputError) {
      return undefined;
    }
    throw error;
  }
}

/** Reads captures of one machine by path, from `cwd`, or embedded ones by name. */
export async function openCapture(
  names: string | readonly string[],
  cwd: string,
): Promise<Topology> {
  const list = typeof names === "string" ? [names] : names;
  const [only = CAPTURE_DEFAULT] = list;
  const topology = await readCaptures(list.map((name) => capturePath(name, cwd)));
  // Called what the person called it, not what it was opened as.
  if (list.length === 1) {
    return named(topology, isEmbedded(only, cwd) ? `the embedded capture ${only}` : only);
  }
  return named(topology, topology.facts.source.replaceAll(`${cwd}${sep}`, ""));
}

/** @throws InputError for a name that is neither on disk nor embedded */
function capturePath(name: string, cwd: string): string {
  if (isEmbedded(name, cwd)) {
    return embeddedPath(name);
  }
  const path = pathFrom(cwd, name);
  if (name === STANDARD_INPUT || existsSync(path) || !/^[\w-]+$/.test(name)) {
    return name === STANDARD_INPUT ? name : path;
  }
  throw new InputError({
    source: name,
    cause: "there is neither a file or folder nor an embedded capture of this name",
    remedy: `Name a capture on disk, or one of the embedded: ${readdirSync(CAPTURES).join(", ")}`,
  });
}

const isEmbedded = (name: string, cwd: string): boolean =>
  /^[\w-]+$/.test(name) &&
  name !== STANDARD_INPUT &&
  !existsSync(pathFrom(cwd, name)) &&
  readdirSync(CAPTURES).includes(name);

/** Where an embedded capture is installed. */
export const embeddedPath = (name: string): string => join(CAPTURES, name, "sysfs.json");

/** The same machine by another name. */
const named = ({ facts, table, rootBuses }: Topology, source: string): Topology =>
  new Topology({ ...facts, source }, table, rootBuses);
