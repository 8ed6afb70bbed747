/**
 * Sysfs functions: where in a sysfs tree the PCI functions are, and how they nest.
 *
 * The folder of a function tells its place: `sys/devices/pci0000:00/0000:00:03.0/0000:01:00.0` is
 * below bridge 0000:00:03.0 on root bus 0000:00. A root bus may itself be below a function of another
 * domain (Intel VMD), so the last `pciDDDD:BB` in the path counts.
 *
 * The order on a bus is the order of a scan, by devfn. The kernel's own list differs after a function was
 * removed and found again by a rescan (it then stands last); sysfs does not show that.
 */
import { type Bdf, formatBdf, parseBdf } from "../bdf.ts";
import { DEPTH_MAX } from "../tree-check.ts";
import { followLink, type SysfsTree } from "./sysfs-tree.ts";
import { refused, shown } from "./sysfs-value.ts";

const ROOT_PATTERN = /^pci([0-9a-f]{4,8}:[0-9a-f]{2})$/;
const DEVICE_LINKS = "sys/bus/pci/devices";

/** One function found: its folder, and its place as far as the folder's path tells. */
export interface FunctionPlace {
  readonly bdf: string;
  readonly address: Bdf;
  readonly folder: string;
  /** Undefined when the tree was copied with links resolved: the nesting is lost then. */
  readonly above?: { readonly parent: string | null; readonly rootBus: string };
}

/** Every function, in order of domain, bus and devfn: the order in which the kernel scans a bus. */
export function functionPlaces(tree: SysfsTree): FunctionPlace[] {
  const placeByBdf = new Map<string, FunctionPlace>();
  const add = (place: FunctionPlace): void => {
    const known = placeByBdf.get(place.bdf);
    if (known !== undefined && known.folder !== place.folder) {
      throw refused(tree, place.folder, `${place.bdf} is also at ${known.folder}`);
    }
    placeByBdf.set(place.bdf, place);
  };
  for (const name of tree.list(DEVICE_LINKS)) {
    add(linkedPlace(tree, name));
  }
  for (const rootFolder of rootFolders(tree, placeByBdf.values())) {
    walkBelow(tree, rootFolder, add);
  }
  return [...placeByBdf.values()].sort((one, other) => scanOrder(one.address, other.address));
}

const scanOrder = (one: Bdf, other: Bdf): number =>
  one.domain - other.domain || one.bus - other.bus || one.devfn - other.devfn;

/** A function by its link in sys/bus/pci/devices; a real folder there is a copy with resolved links. */
function linkedPlace(tree: SysfsTree, name: string): FunctionPlace {
  const path = `${DEVICE_LINKS}/${name}`;
  const address = parseBdf(name);
  if (address === undefined) {
    throw refused(tree, path, `"${shown(name)}" is not a PCI address`);
  }
  const target = tree.link(path);
  if (target === undefined) {
    return { bdf: formatBdf(address), address, folder: path };
  }
  const folder = followLink(path, target);
  const place = folder === undefined ? undefined : placeOf(folder);
  if (place === undefined || place.bdf !== formatBdf(address)) {
    throw refused(
      tree,
      path,
      `the link leads to "${shown(target)}", which is not the folder of ${name}`,
    );
  }
  return place;
}

/** The place a folder stands for, undefined when its path is not one of a PCI function. */
function placeOf(folder: string): FunctionPlace | undefined {
  const parts = folder.split("/");
  const root = parts.findLastIndex((part) => ROOT_PATTERN.test(part));
  const addresses = parts.slice(root + 1).map(parseBdf);
  const address = addresses.at(-1);
  if (root < 0 || address === undefined || addresses.includes(undefined)) {
    return undefined;
  }
  const parent = addresses.at(-2);
  return {
    bdf: formatBdf(address),
    address,
    folder,
    above: {
      parent: parent === undefined ? null : formatBdf(parent),
      rootBus: (parts[root] as string).slice("pci".length),
    },
  };
}

/** Folders of root buses: those right below sys/devices, and those that links led to. */
function rootFolders(tree: SysfsTree, places: Iterable<FunctionPlace>): Set<string> {
  const folders = new Set<string>();
  for (const name of tree.list("sys/devices")) {
    if (ROOT_PATTERN.test(name)) {
      folders.add(`sys/devices/${name}`);
    }
  }
  for (const place of places) {
    const parts = place.folder.split("/");
    const root = parts.findLastIndex((part) => ROOT_PATTERN.test(part));
    if (root >= 0) {
      folders.add(parts.slice(0, root + 1).join("/"));
    }
  }
  return folders;
}

/** Functions whose link was not captured are found by their folders. */
function walkBelow(
  tree: SysfsTree,
  folder: string,
  add: (place: FunctionPlace) => void,
  depth = 0,
): void {
  if (depth > DEPTH_MAX) {
    throw refused(tree, folder.slice(0, 200), `bridges are nested more than ${DEPTH_MAX} deep`);
  }
  for (const name of tree.list(folder)) {
    const path = `${folder}/${name}`;
    // A link named like a function (an IOMMU group's member) is not the function's folder.
    if (parseBdf(name) === undefined || tree.link(path) !== undefined) {
      continue;
    }
    const place = placeOf(path);
    if (place !== undefined && tree.list(path).length > 0) {
      add(place);
      walkBelow(tree, path, add, depth + 1);
    }
  }
}
