/**
 * Sysfs facts: what /proc and /sys say about the machine as a whole.
 */
import type { CpuFacts, MachineFacts, NumaNode } from "../machine-facts.ts";
import type { SysfsTree } from "./sysfs-tree.ts";
import { refused } from "./sysfs-value.ts";

const NODE_FOLDER = "sys/devices/system/node";
const GROUP_FOLDER = "sys/kernel/iommu_groups";

export function factsOf(tree: SysfsTree): MachineFacts {
  const kernelRelease = kernelReleaseOf(tree);
  const commandLine = tree.text("proc/cmdline");
  const cpu = cpuOf(tree.text("proc/cpuinfo") ?? "");
  return {
    source: tree.source,
    ...(kernelRelease !== undefined && { kernelRelease }),
    ...(commandLine !== undefined && { commandLine }),
    ...(cpu !== undefined && { cpu }),
    numaNodes: numaNodesOf(tree),
    iommuGroupTypes: groupTypesOf(tree),
  };
}

function kernelReleaseOf(tree: SysfsTree): string | undefined {
  const release = tree.text("proc/sys/kernel/osrelease");
  return release ?? /^Linux version (\S+)/.exec(tree.text("proc/version") ?? "")?.[1];
}

/** The first processor. x86 prints `vendor_id`, Arm `CPU implementer`, Power `cpu`, RISC-V `isa`. */
function cpuOf(cpuinfo: string): CpuFacts | undefined {
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

/** Value of the first `name : value` line. */
function field(cpuinfo: string, name: string): string | undefined {
  const line = cpuinfo.split("\n").find((each) => each.split(":", 1)[0]?.trim() === name);
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
    .map((id) => ({
      id,
      distances: distancesOf(tree, `${NODE_FOLDER}/node${id}/distance`),
      cpuList: tree.text(`${NODE_FOLDER}/node${id}/cpulist`) ?? "",
    }));
}

function distancesOf(tree: SysfsTree, path: string): number[] {
  const text = tree.text(path) ?? "";
  if (!/^[\d\s]*$/.test(text)) {
    throw refused(tree, path, "NUMA distances are whole numbers");
  }
  return text === "" ? [] : text.split(/\s+/).map(Number);
}

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
