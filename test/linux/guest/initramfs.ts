/**
 * Initramfs: the guest's first file system: busybox, the modules, and what to do.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Kernel } from "./debian-kernel.ts";
import { unpackModules } from "./kernel-modules.ts";
import type { Machine } from "./machine.ts";

export interface Task {
  readonly machine: Machine;
  /** Run by sh in the repository. */
  readonly command: string;
  /** The repository on the host; it has the same path in the guest. */
  readonly tree: string;
  /** Modules to load, without their dependencies; with parameters after a blank. */
  readonly modules: readonly string[];
}

const NINE_P: readonly string[] = ["9pnet_virtio", "9p"];
const INIT: string = fileURLToPath(new URL("init.sh", import.meta.url));
const IMAGE_BYTES_MAX = 2 ** 30;

/** Makes `folder`/initramfs.cpio anew and returns its path. */
export function makeInitramfs(folder: string, kernel: Kernel, task: Task): string {
  const root = join(folder, "root");
  rmSync(root, { recursive: true, force: true });
  mkdirSync(join(root, "bin"), { recursive: true });
  copyFileSync(task.machine.busybox, join(root, "bin/busybox"));
  copyFileSync(INIT, join(root, "init"));
  chmodSync(join(root, "init"), 0o755);
  const order = unpackModules(kernel.modules, [...NINE_P, ...task.modules], join(root, "modules"));
  writeFileSync(join(root, "modules/order"), order.map((name) => `${name}\n`).join(""));
  writeFileSync(join(root, "task"), shellVariables(task));
  return pack(root, join(folder, "initramfs.cpio"));
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function shellVariables({ command, tree, machine: { nodeHome, nodeModules } }: Task): string {
  const path = `${nodeHome}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`;
  const modules = nodeModules === undefined ? "" : `${tree}/node_modules`;
  const variables = {
    TREE: tree,
    NODE_HOME: nodeHome,
    NODE_MODULES: modules,
    HOST_PATH: path,
    COMMAND: command,
  };
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join("");
}

function pack(root: string, image: string): string {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" });
  const packed = execFileSync("busybox", ["cpio", "-o", "-H", "newc"], {
    cwd: root,
    input: [".", ...files].join("\n"),
    maxBuffer: IMAGE_BYTES_MAX,
    stdio: ["pipe", "pipe", "ignore"],
  });
  writeFileSync(image, packed);
  return image;
}
