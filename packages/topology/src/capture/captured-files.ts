/**
 * Captured files: the attributes of /sys, /proc and /boot that a capture holds, read from a tree.
 */

import {
  cpuinfoLines,
  DMI_FOLDER,
  firstCpu,
  hasNoGroup,
  kernelConfigIn,
  packagePath,
} from "../readers/sysfs-facts.ts";
import { functionPlaces } from "../readers/sysfs-functions.ts";
import { osNameFolders } from "../readers/sysfs-os-names.ts";
import type { SysfsTree } from "../readers/sysfs-tree.ts";

export interface CapturedFiles {
  /** Text by path. */
  readonly files: Map<string, string>;
  /** Target by path. */
  readonly links: Map<string, string>;
  readonly binary: Map<string, Uint8Array>;
  /** Folders that are the fact: what the operating system calls a device, and an empty one of IOMMU groups. */
  readonly folders: string[];
  readonly functionCount: number;
}

const FUNCTION_FILES = [
  "class",
  "vendor",
  "device",
  "subsystem_vendor",
  "subsystem_device",
  "resource",
  "numa_node",
  "current_link_speed",
  "current_link_width",
  "max_link_speed",
  "max_link_width",
  "secondary_bus_number",
  "subordinate_bus_number",
] as const;
const FUNCTION_LINKS = ["driver", "iommu_group", "physfn"] as const;
const MACHINE_FILES = [
  "proc/cmdline",
  "proc/sys/kernel/osrelease",
  `${DMI_FOLDER}/sys_vendor`,
  `${DMI_FOLDER}/product_name`,
] as const;
const NODE_FOLDER = "sys/devices/system/node";
const GROUP_FOLDER = "sys/kernel/iommu_groups";

export function capturedFiles(tree: SysfsTree): CapturedFiles {
  const places = functionPlaces(tree);
  const found: CapturedFiles = {
    files: new Map(),
    links: new Map(),
    binary: new Map(),
    folders: [],
    functionCount: places.length,
  };
  for (const { bdf, folder } of places) {
    addFunction(tree, bdf, folder, found);
  }
  for (const path of [...MACHINE_FILES, ...nodeFiles(tree), ...groupFiles(tree)]) {
    addText(tree, path, found);
  }
  if (hasNoGroup(tree)) {
    found.folders.push(GROUP_FOLDER);
  }
  addCpuinfo(tree, found);
  addKernelConfig(tree, found);
  return found;
}

function addFunction(tree: SysfsTree, bdf: string, folder: string, found: CapturedFiles): void {
  for (const name of FUNCTION_FILES) {
    addText(tree, `${folder}/${name}`, found);
  }
  for (const name of FUNCTION_LINKS) {
    const target = tree.link(`${folder}/${name}`);
    if (target !== undefined) {
      found.links.set(`${folder}/${name}`, target);
    }
  }
  const config = tree.bytes(`${folder}/config`);
  if (config !== undefined) {
    found.binary.set(`${folder}/config`, config);
  }
  const listed = `sys/bus/pci/devices/${bdf}`;
  if (folder.startsWith("sys/devices/")) {
    found.links.set(listed, `../../../${folder.slice("sys/".length)}`);
  }
  found.folders.push(...osNameFolders(tree, folder));
}

function addText(tree: SysfsTree, path: string, found: CapturedFiles): void {
  const text = tree.text(path);
  if (text !== undefined) {
    found.files.set(path, text);
  }
}

const nodeFiles = (tree: SysfsTree): string[] =>
  tree
    .list(NODE_FOLDER)
    .filter((name) => /^node\d+$/.test(name))
    .flatMap((name) => {
      const list = `${NODE_FOLDER}/${name}/cpulist`;
      const first = firstCpu(tree.text(list) ?? "");
      return [
        `${NODE_FOLDER}/${name}/distance`,
        list,
        ...(first === "" ? [] : [packagePath(first)]),
      ];
    });

const groupFiles = (tree: SysfsTree): string[] =>
  tree.list(GROUP_FOLDER).map((name) => `${GROUP_FOLDER}/${name}/type`);

/** The first processor's identity; of its flags only the one that tells of a hypervisor. */
function addCpuinfo(tree: SysfsTree, found: CapturedFiles): void {
  const text = tree.text("proc/cpuinfo");
  if (text !== undefined) {
    found.files.set("proc/cpuinfo", cpuinfoLines(text).join("\n"));
  }
}

function addKernelConfig(tree: SysfsTree, found: CapturedFiles): void {
  const release = tree.text("proc/sys/kernel/osrelease");
  const path = `boot/config-${release}`;
  const text = release === undefined ? undefined : tree.text(path);
  if (text !== undefined) {
    const lines = Array.from(kernelConfigIn(text), ([option, value]) => `${option}=${value}`);
    found.files.set(path, lines.join("\n"));
  }
}
