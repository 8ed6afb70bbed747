/**
 * New: a package for a driver of one's own, green at once.
 *
 * Copies a template that this repository tests as it is, and puts the driver's name in. Nothing is
 * replaced: the folder must not be there.
 */
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@peerbuf/core";
import { Command } from "commander";
import { EXIT } from "../exit-code.ts";
import { pathFrom } from "../path-from.ts";
import type { Session } from "../session.ts";

interface NewOptions {
  readonly importer?: boolean;
  readonly json?: boolean;
}

const TEMPLATES = fileURLToPath(new URL("../../templates/", import.meta.url));
/** The name in the templates. */
const PLACEHOLDER = /\bmy-driver\b/g;
const NAME = /^[a-z][a-z0-9-]*$/;
const NAME_LENGTH_MAX = 64;

export function newCommand(session: Session): Command {
  const command = new Command("new").description("make a package for a driver of your own");
  command
    .command("driver")
    .description("an exporter (default) or an importer, with its test and a CI script")
    .argument("<name>", "letters, digits and dashes; the folder is made here")
    .option("--importer", "a driver whose device reaches shared memory, not one that owns it")
    .option("--json", "say what was written as JSON")
    .addHelpText(
      "after",
      `
Example:
  $ peerbuf new driver my-driver
  $ cd my-driver && npm install && npm test

Exit code: 0 when it is written, 2 when it cannot be.`,
    )
    .action((name: string, options: NewOptions) => newDriver(session, name, options));
  return command;
}

async function newDriver(session: Session, name: string, options: NewOptions): Promise<void> {
  requireName(name);
  const folder = pathFrom(session.io.cwd, name);
  requireFree(name, folder);
  const role = options.importer === true ? "importer" : "exporter";
  const files = await writeTemplate(role, name, folder);
  session.exitCode = EXIT.OK;
  if (options.json === true) {
    await session.printJson({ name, role, folder: name, files });
    return;
  }
  const { paint } = session;
  await session.printLines([
    `${paint.good("Written")}: ${paint.name(name)}, an ${role}, in ${name}/ (${files.length} files).`,
    "",
    `  cd ${name}`,
    "  npm install",
    "  npm test",
    "",
    `${name}/src/driver.ts is the driver; the kit tells what it still owes.`,
  ]);
}

function requireName(name: string): void {
  if (!NAME.test(name) || name.length > NAME_LENGTH_MAX) {
    throw new InputError({
      source: name,
      cause: "this is no name for a driver",
      remedy: `Up to ${NAME_LENGTH_MAX} small letters, digits and dashes, a letter first`,
    });
  }
}

function requireFree(name: string, folder: string): void {
  if (existsSync(folder)) {
    throw new InputError({
      source: name,
      cause: "there is such a file or folder already",
      remedy: "Choose another name, or move it away",
    });
  }
}

/** What was written, as paths in the new folder. */
async function writeTemplate(role: string, name: string, folder: string): Promise<string[]> {
  await mkdir(folder);
  for (const part of ["shared", role]) {
    await cp(join(TEMPLATES, part), folder, { recursive: true });
  }
  // Under their real names npm would leave the one out of this command's own package, and take the other for one.
  await rename(join(folder, "gitignore"), join(folder, ".gitignore"));
  await rename(join(folder, "manifest.json"), join(folder, "package.json"));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const path of paths) {
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace(PLACEHOLDER, name));
  }
  return paths.map((path) => relative(folder, path)).sort();
}
