/**
 * Debian kernel: the stock kernel as its package has it, fetched once and unpacked beside the repository's
 * other generated files. Nothing is installed on this machine.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

export interface Kernel {
  /** e.g. `6.12.117+deb12-amd64`. */
  readonly release: string;
  readonly image: string;
  /** Folder with the modules, as packed. */
  readonly modules: string;
}

/** Depends on whatever is current. */
const META_PACKAGE = "linux-image-6.12-amd64";

/** The kernel, or why it cannot be had here. */
export function debianKernelOrReason(cache: string): Kernel | string {
  try {
    mkdirSync(cache, { recursive: true });
    return debianKernel(cache);
  } catch (error) {
    const { stderr, message } = error as { stderr?: unknown; message?: string };
    return `Debian's kernel package could not be fetched: ${String(stderr ?? message).trim()}`;
  }
}

/** From `cache` if it is there, else by `apt-get download`. Throws with what apt said. */
function debianKernel(cache: string): Kernel {
  const folder = join(cache, META_PACKAGE);
  if (!existsSync(folder)) {
    fetch(folder);
  }
  return kernelIn(folder);
}

/** A kernel package that was unpacked there. */
export function kernelIn(folder: string): Kernel {
  const [release = ""] = readdirSync(join(folder, "lib/modules"));
  return {
    release,
    image: join(folder, `boot/vmlinuz-${release}`),
    modules: join(folder, "lib/modules", release),
  };
}

function fetch(folder: string): void {
  const partial = `${folder}.part`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const depends = execFileSync("apt-cache", ["depends", META_PACKAGE], { encoding: "utf8" });
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) {
    throw new Error(`apt knows no ${META_PACKAGE} with a kernel in it: ${depends.trim()}`);
  }
  execFileSync("apt-get", ["download", name], { cwd: partial, stdio: ["ignore", "pipe", "pipe"] });
  const [file = ""] = readdirSync(partial);
  execFileSync("dpkg-deb", ["--extract", file, "."], { cwd: partial });
  rmSync(join(partial, file));
  renameSync(partial, folder);
}
