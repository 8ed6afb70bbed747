/**
 * Kernel modules: unpacks modules with everything they depend on, in the order in which they load.
 *
 * Dependencies are read out of the modules themselves (`depends=` in .modinfo), because the table that
 * depmod makes is not in the package.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const MODULE_BYTES_MAX = 64 * 2 ** 20;

/**
 * Unpacks into `target`; returns file names in load order, each with what follows its module's name
 * (`vivid n_devs=2`). A name without a module is built in: left out.
 */
export function unpackModules(folder: string, names: readonly string[], target: string): string[] {
  mkdirSync(target, { recursive: true });
  const paths = pathsByName(folder);
  const order: string[] = [];
  const visited = new Set<string>();
  const visit = (name: string, parameters = ""): void => {
    const path = paths.get(name);
    if (path === undefined || visited.has(name)) {
      return;
    }
    visited.add(name);
    const bytes = execFileSync("xz", ["-dc", path], { maxBuffer: MODULE_BYTES_MAX });
    for (const needed of dependenciesOf(bytes)) {
      visit(needed);
    }
    writeFileSync(join(target, `${name}.ko`), bytes);
    order.push(`${name}.ko ${parameters}`.trim());
  };
  for (const text of names) {
    const [name = "", ...parameters] = text.split(" ");
    visit(canonical(name), parameters.join(" "));
  }
  return order;
}

/** The kernel takes dash and underscore for one. */
const canonical = (name: string): string => name.replaceAll("-", "_");

function pathsByName(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return new Map(
    files
      .filter((file) => file.endsWith(".ko.xz"))
      .map((file) => [canonical(basename(file, ".ko.xz")), join(folder, file)]),
  );
}

function dependenciesOf(module: Buffer): string[] {
  const start = module.indexOf("\0depends=");
  if (start < 0) {
    return [];
  }
  const from = start + "\0depends=".length;
  const text = module.toString("latin1", from, module.indexOf(0, from));
  return text
    .split(",")
    .filter((name) => name !== "")
    .map(canonical);
}
