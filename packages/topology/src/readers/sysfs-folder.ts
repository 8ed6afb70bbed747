/**
 * Sysfs folder: a /sys tree on disk, copied or live.
 *
 * A copy may be the folder that holds `sys` and `proc`, that folder inside one more
 * (`machine-name/sys`), or the `sys` folder itself.
 */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Topology } from "../topology.ts";
import { FolderTree } from "./folder-tree.ts";
import { topologyFromSysfs } from "./sysfs-topology.ts";

/** The tree in a folder, undefined when the folder holds none. */
export function findSysfsFolder(path: string): FolderTree | undefined {
  const inner = foldersIn(path);
  const candidates = [path, ...(inner.length === 1 ? [join(path, inner[0] as string)] : [])];
  for (const folder of candidates) {
    if (isFolder(join(folder, "sys", "devices")) || isFolder(join(folder, "sys", "bus", "pci"))) {
      return new FolderTree(path, {
        sys: join(folder, "sys"),
        proc: join(folder, "proc"),
        boot: join(folder, "boot"),
      });
    }
  }
  if (isFolder(join(path, "bus", "pci"))) {
    const beside = join(dirname(resolve(path)), "proc");
    return new FolderTree(path, {
      sys: path,
      // Only of a folder named sys is a neighbour named proc known to belong to it.
      ...(basename(resolve(path)) === "sys" && { proc: beside }),
    });
  }
  return undefined;
}

/** This machine, from /sys, /proc and /boot. No PCI functions is a true answer here, not an error. */
export function readLive(): Topology {
  return topologyFromSysfs(liveTree(), true);
}

/** /sys, /proc and /boot of this machine. */
export const liveTree = (): FolderTree =>
  new FolderTree("this machine", { sys: "/sys", proc: "/proc", boot: "/boot" });

function foldersIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
