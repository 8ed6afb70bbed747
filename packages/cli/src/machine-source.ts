/**
 * Machine source: which machine a command speaks about, and by which kernel's rules.
 *
 * A capture on disk wins over an embedded one of the same name: what a person has in front of them
 * is what they mean.
 */
import { existsSync, readdirSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@peerbuf/core";
import {
  KERNEL_DEFAULT,
  type KernelRules,
  readCapture,
  readLive,
  rulesForKernel,
  Topology,
} from "@peerbuf/topology";
import { type Command, Option } from "commander";

/** The embedded capture that is used when nobody says which machine. */
export const CAPTURE_DEFAULT = "server-05";

/** Beside `src` and `dist`. */
const CAPTURES = fileURLToPath(new URL("../captures", import.meta.url));

export interface MachineChoice {
  /** A path, or the name of an embedded capture. */
  readonly capture?: string | undefined;
  readonly live?: boolean | undefined;
  readonly kernel?: string | undefined;
}

/** The options that say which machine; the same for every command. */
export function addMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "-c, --capture <path>",
        `a capture: folder, tar, sysfs.json, or an embedded one by name (default: ${CAPTURE_DEFAULT})`,
      ).conflicts("live"),
    )
    .option("--live", "this machine")
    .option("-k, --kernel <version>", "whose P2PDMA rules", KERNEL_DEFAULT);
}

/** @throws InputError for a machine or kernel that cannot be read or is not known */
export async function openMachine(
  choice: MachineChoice,
  cwd: string,
): Promise<{ topology: Topology; rules: KernelRules }> {
  const rules = rulesForKernel(choice.kernel);
  const topology =
    choice.live === true ? readLive() : await openCapture(choice.capture ?? CAPTURE_DEFAULT, cwd);
  return { topology, rules };
}

/** Reads a capture by path, from `cwd`, or an embedded one by name. */
export async function openCapture(name: string, cwd: string): Promise<Topology> {
  const path = pathFrom(cwd, name);
  if (existsSync(path) || !/^[\w-]+$/.test(name)) {
    return readCapture(path);
  }
  const embedded = readdirSync(CAPTURES);
  if (embedded.includes(name)) {
    return named(await readCapture(embeddedPath(name)), name);
  }
  throw new InputError({
    source: name,
    cause: "there is neither a file or folder nor an embedded capture of this name",
    remedy: `Name a capture on disk, or one of the embedded: ${embedded.join(", ")}`,
  });
}

/** Where an embedded capture is installed. */
export const embeddedPath = (name: string): string => join(CAPTURES, name, "sysfs.json");

/** An embedded capture is called by its name; where it is installed helps nobody. */
const named = ({ facts, table, rootBuses }: Topology, name: string): Topology =>
  new Topology({ ...facts, source: `the embedded capture ${name}` }, table, rootBuses);

/** As the person wrote it where that works, because errors quote it. */
export function pathFrom(folder: string, path: string): string {
  return isAbsolute(path) || folder === process.cwd() ? path : join(folder, path);
}
