/**
 * Sysfs facts: what /proc and /sys say about the machine as a whole.
 */
import { type CpuFacts, factsNamed, type MachineFacts, type NumaNode } from "../machine-facts.ts";
import { missingFacts } from "../missing-fact.ts";
import { osNamesOf } from "./sysfs-os-names.ts";
import type { SysfsTree } from "./sysfs-tree.ts";
import { refused } from "./sysfs-value.ts";

const NODE_FOLDER = "sys/devices/system/node";
const GROUP_FOLDER = "sys/kernel/iommu_groups";

export const DMI_FOLDER = "sys/devices/virtual/dmi/id";

/** @param folderByBdf where each PCI function is in the tree */
export function factsOf(tree: SysfsTree, folderByBdf: ReadonlyMap<string, string>): MachineFacts {
  const kernelRelease = kernelReleaseOf(tree);
  const commandLine = tree.text("proc/cmdline");
  const cpuinfo = tree.text("proc/cpuinfo") ?? "";
  const cpu = cpuOf(cpuinfo);
  const product = productOf(
    tree.text(`${DMI_FOLDER}/sys_vendor`),
    tree.text(`${DMI_FOLDER}/product_name`),
  );
  const isVirtualMachine = virtualMachineOf(cpuinfo, product);
  const kernelConfig = kernelConfigOf(tree, kernelRelease);
  return {
    ...factsNamed(tree.source),
    format: "sysfs",
    missing: missingFacts(...(tree.notReadable ?? [])),
    osNames: osNamesOf(tree, folderByBdf),
    ...(product !== undefined && { product }),
    ...(isVirtualMachine !== undefined && { isVirtualMachine }),
    ...(kernelConfig !== undefined && { kernelConfig }),
    ...(kernelRelease !== undefined && { kernelRelease }),
    ...(commandLine !== undefined && { commandLine }),
    ...(cpu !== undefined && { cpu }),
    numaNodes: numaNodesOf(tree),
    iommuGroupTypes: groupTypesOf(tree),
    ...(hasNoGroup(tree) && { hasNoIommuGroup: true }),
  };
}

function kernelReleaseOf(tree: SysfsTree): string | undefined {
  const release = tree.text("proc/sys/kernel/osrelease");
  return release ?? /^Linux version (\S+)/.exec(tree.text("proc/version") ?? "")?.[1];
}

/** Maker and product as the firmware states them, without the words of those who stated nothing. */
export function productOf(
  maker: string | undefined,
  product: string | undefined,
): string | undefined {
  const stated = [maker, product].filter((part) => part !== undefined && !UNSTATED.test(part));
  return stated.length === 0 ? undefined : stated.join(" ");
}

const UNSTATED =
  /^(?:|to be filled by o\.?e\.?m\.?|system manufacturer|system product name|default string|n\/a)$/i;

/** Makers and products that only hypervisors state. `Microsoft Corporation` alone also makes real machines. */
const VIRTUAL_PRODUCT =
  /^(?:QEMU|VMware|innotek GmbH|Xen|Bochs|Google Google Compute Engine|Microsoft Corporation Virtual Machine)/;

/** x86 guests see the CPUID bit `hypervisor`; a list of flags without it is a real machine's. */
export function virtualMachineOf(
  cpuinfo: string,
  product: string | undefined,
): boolean | undefined {
  const flags = field(cpuinfo, "flags")?.split(" ");
  const isVirtual = (flags?.includes("hypervisor") ?? false) || VIRTUAL_PRODUCT.test(product ?? "");
  return isVirtual || flags !== undefined ? isVirtual : undefined;
}

/** Fields of /proc/cpuinfo that say what the processor is, on any architecture. */
const CPU_FIELDS = [
  "vendor_id",
  "cpu family",
  "model",
  "model name",
  "CPU implementer",
  "cpu",
  "isa",
];

/** The first processor's identity as lines of /proc/cpuinfo; of its flags only whether a hypervisor is there. */
export function cpuinfoLines(cpuinfo: string): string[] {
  const lines = CPU_FIELDS.flatMap((name) => {
    const value = field(cpuinfo, name);
    return value === undefined ? [] : [`${name}\t: ${value}`];
  });
  const flags = field(cpuinfo, "flags")?.split(" ");
  const shown = flags?.includes("hypervisor") === true ? "fpu hypervisor" : "fpu";
  return ["processor\t: 0", ...lines, ...(flags === undefined ? [] : [`flags\t: ${shown}`])];
}

/** Lines of the kernel's configuration that matter here: P2PDMA, its neighbours, and options of drivers (`HSA_AMD_P2P`). */
const CONFIG_LINE =
  /^(?:(CONFIG_\w*(?:P2P|IOMMU|DMABUF|ZONE_DEVICE|DEVICE_PRIVATE)\w*)=(.{1,80})|# (CONFIG_\w*(?:P2P|IOMMU|DMABUF|ZONE_DEVICE|DEVICE_PRIVATE)\w*) is not set)$/;

/** How a whole configuration begins; what `grep` leaves of one lacks it. */
const WHOLE_CONFIG = /^# Automatically generated file/m;

/** Options that a whole configuration names, or else they are off: something they depend on is. */
const OPTIONS_ASKED = ["CONFIG_PCI_P2PDMA", "CONFIG_HSA_AMD_P2P"] as const;

function kernelConfigOf(
  tree: SysfsTree,
  release: string | undefined,
): ReadonlyMap<string, string> | undefined {
  const text = release === undefined ? undefined : tree.text(`boot/config-${release}`);
  return text === undefined ? undefined : kernelConfigIn(text);
}

/** The options that matter in the text of a kernel configuration; those not set are `n`. A part of one says nothing of the rest. */
export const kernelConfigIn = (text: string): ReadonlyMap<string, string> =>
  new Map([
    ...(WHOLE_CONFIG.test(text) ? OPTIONS_ASKED : []).map((option): [string, string] => [
      option,
      "n",
    ]),
    ...text.split("\n").flatMap((line): [string, string][] => {
      const [, set, value, unset] = CONFIG_LINE.exec(line.trim()) ?? [];
      return set !== undefined ? [[set, value ?? ""]] : unset !== undefined ? [[unset, "n"]] : [];
    }),
  ]);

/** The first processor. x86 prints `vendor_id`, Arm `CPU implementer`, Power `cpu`, RISC-V `isa`. */
export function cpuOf(cpuinfo: string): CpuFacts | undefined {
  const vendor = field(cpuinfo, "vendor_id");
  if (vendor === undefined) {
    const other = ["CPU implementer", "cpu", "isa"].find(
      (name) => field(cpuinfo, name) !== undefined,
    );
    return other === undefined ? undefined : { vendor: `${other} ${field(cpuinfo, other)}` };
  }
  const family = wholeNumber(field(cpuinfo, "cpu family"));
  const model = wholeNumber(field(cpuinfo, "model"));
  const modelName = field(cpuinfo, "model name");
  return {
    vendor,
    ...(family !== undefined && { family }),
    ...(model !== undefined && { model }),
    ...(modelName !== undefined && { modelName }),
  };
}

/** Characters of /proc/cpuinfo that are looked at: one processor has about 1,600. */
const PROCESSOR_LENGTH_MAX = 65_536;

/** Value of a `name : value` line of the first processor; the others, up to thousands, say the same. */
function field(cpuinfo: string, name: string): string | undefined {
  const [first = ""] = cpuinfo.slice(0, PROCESSOR_LENGTH_MAX).trimStart().split("\n\n", 1);
  const line = first.split("\n").find((each) => each.split(":", 1)[0]?.trim() === name);
  const value = line?.slice(line.indexOf(":") + 1).trim();
  return value === "" ? undefined : value;
}

const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;

function numaNodesOf(tree: SysfsTree): NumaNode[] {
  return tree
    .list(NODE_FOLDER)
    .flatMap((name) => /^node(\d{1,9})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((one, other) => one - other)
    .map((id) => {
      const cpuList = tree.text(`${NODE_FOLDER}/node${id}/cpulist`) ?? "";
      const socket = socketOf(tree, cpuList);
      return {
        id,
        distances: distancesOf(tree, `${NODE_FOLDER}/node${id}/distance`),
        cpuList,
        ...(socket !== undefined && { socket }),
      };
    });
}

/** Where the kernel says which package a CPU is part of. */
export const packagePath = (cpu: string): string =>
  `sys/devices/system/cpu/cpu${cpu}/topology/physical_package_id`;

/** First CPU of a list as the kernel prints it; "" for an empty list. */
export const firstCpu = (cpuList: string): string => /^\d{1,6}/.exec(cpuList)?.[0] ?? "";

/** The package of a node's first CPU: a node is never part of two. */
function socketOf(tree: SysfsTree, cpuList: string): number | undefined {
  const first = firstCpu(cpuList);
  return first === "" ? undefined : wholeNumber(tree.text(packagePath(first)));
}

function distancesOf(tree: SysfsTree, path: string): number[] {
  const text = tree.text(path) ?? "";
  if (!/^[\d\s]*$/.test(text)) {
    throw refused(tree, path, "NUMA distances are whole numbers");
  }
  return text === "" ? [] : text.split(/\s+/).map(Number);
}

/** The folder is there and empty; one that was left out of a copy proves nothing. */
export const hasNoGroup = (tree: SysfsTree): boolean =>
  tree.list("sys/kernel").includes("iommu_groups") && tree.list(GROUP_FOLDER).length === 0;

function groupTypesOf(tree: SysfsTree): Map<number, string> {
  const types = new Map<number, string>();
  for (const name of tree.list(GROUP_FOLDER)) {
    const type = tree.text(`${GROUP_FOLDER}/${name}/type`);
    if (type !== undefined && /^\d{1,9}$/.test(name)) {
      types.set(Number(name), type);
    }
  }
  return types;
}
