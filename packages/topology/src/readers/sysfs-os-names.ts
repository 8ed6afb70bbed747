/**
 * Sysfs OS names: what the operating system calls the devices behind a PCI function.
 *
 * A class folder below the function names them: `net/eth0`, `infiniband/mlx5_0`, `drm/card0`,
 * `nvme/nvme0/nvme0n1`. Captures that left those folders out simply have no names.
 */
import type { SysfsTree } from "./sysfs-tree.ts";

/** Folders right below a function whose entries are names people use. */
const CLASS_FOLDERS = ["net", "infiniband", "drm", "nvme", "accel", "dma"] as const;
/** Names of those that are shown: not `renderD128`, `card0-DP-1` or `dma0chan3`. */
const SHOWN: Readonly<Record<(typeof CLASS_FOLDERS)[number], RegExp>> = {
  net: /^[\w.-]{1,15}$/,
  infiniband: /^[\w.-]{1,64}$/,
  drm: /^card\d{1,5}$/,
  nvme: /^nvme\d{1,5}$/,
  accel: /^accel\d{1,5}$/,
  dma: /^dma\d{1,5}chan0$/,
};
/** Namespaces of an NVMe controller, without the paths of a multipath device (`nvme0c0n1`). */
const NAMESPACE = /^nvme\d{1,5}n\d{1,10}$/;
/** Names kept of one function, at most. */
const NAME_COUNT_MAX = 16;

/** Names by BDF; functions without any are left out. */
export function osNamesOf(
  tree: SysfsTree,
  folderByBdf: ReadonlyMap<string, string>,
): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, readonly string[]>();
  for (const [bdf, folder] of folderByBdf) {
    const found = namesBelow(tree, folder);
    if (found.length > 0) {
      names.set(bdf, found);
    }
  }
  return names;
}

function namesBelow(tree: SysfsTree, folder: string): string[] {
  return osNameFolders(tree, folder).map((path) => path.slice(path.lastIndexOf("/") + 1));
}

/** The folders below a function that are named as people call the device. */
export function osNameFolders(tree: SysfsTree, folder: string): string[] {
  const present = new Set(tree.list(folder));
  const found = CLASS_FOLDERS.filter((name) => present.has(name)).flatMap((name) =>
    tree
      .list(`${folder}/${name}`)
      .filter((entry) => SHOWN[name].test(entry))
      .flatMap((entry) =>
        name === "nvme"
          ? namespacesOf(tree, `${folder}/nvme`, entry)
          : `${folder}/${name}/${entry}`,
      ),
  );
  return found.slice(0, NAME_COUNT_MAX);
}

/** The namespaces of a controller, which are what people mount; the controller itself where it has none. */
function namespacesOf(tree: SysfsTree, folder: string, controller: string): string[] {
  const namespaces = tree.list(`${folder}/${controller}`).filter((name) => NAMESPACE.test(name));
  const names = namespaces.length > 0 ? namespaces.map((name) => `/${name}`) : [""];
  return names.map((name) => `${folder}/${controller}${name}`);
}
