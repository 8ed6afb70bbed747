/**
 * Companion text: the output of one small command, which completes a capture in another format.
 *
 * /proc/cpuinfo, /proc/cmdline, the kernel's configuration, `uname`, `numactl --hardware` and the types of
 * IOMMU groups. Each gives a topology without functions whose facts are what the text says.
 */
import { InputError } from "@peerbuf/core";
import { factsNamed, type MachineFacts, type NumaNode } from "../machine-facts.ts";
import { FACT_NAMES, type FactName, missingFacts } from "../missing-fact.ts";
import type { Topology } from "../topology.ts";
import { buildTopology } from "../topology-builder.ts";
import type { CaptureHead } from "./capture-head.ts";
import { captureText, headText } from "./capture-text.ts";
import { cpuOf, kernelConfigIn, virtualMachineOf } from "./sysfs-facts.ts";

/** Bytes, at most: /proc/cpuinfo of 1,024 CPUs has 1.6 MB. */
const COMPANION_BYTES_MAX = 16 * 2 ** 20;

interface Companion {
  readonly format: string;
  /** How its first bytes look. */
  readonly pattern: RegExp;
  /** What it supplies. */
  readonly supplies: readonly FactName[];
  readonly read: (text: string) => Partial<MachineFacts>;
}

const COMPANIONS: readonly Companion[] = [
  {
    format: "/proc/cpuinfo",
    pattern: /^\s*(?:processor|vendor_id)\s*:\s*\S/,
    supplies: ["cpu"],
    read: readCpuinfo,
  },
  {
    format: "kernel configuration",
    pattern: /^(?:#[^\n]*\n|[ \t\r]*\n)*(?:CONFIG_\w+=|# CONFIG_\w+ is not set)/,
    supplies: ["kernel-config"],
    read: (text) => ({ kernelConfig: kernelConfigIn(text) }),
  },
  {
    format: "uname",
    pattern: /^\s*(?:Linux(?: version)? (?:\S+ )?)?\d+\.\d+\.\d+[\w.+~-]*(?: [^\n]*)?\s*$/,
    supplies: ["kernel"],
    read: readUname,
  },
  {
    format: "numactl --hardware",
    pattern: /^\s*available: \d+ nodes?\b/,
    supplies: ["numa"],
    read: (text) => ({ numaNodes: numaNodesIn(text) }),
  },
  {
    format: "types of IOMMU groups",
    pattern: /^\s*\/sys\/kernel\/iommu_groups\/\d+\/type:\S/,
    supplies: ["iommu-mode"],
    read: (text) => ({ iommuGroupTypes: groupTypesIn(text) }),
  },
  {
    format: "/proc/cmdline",
    // One line of parameters, of which at least one is known from kernel command lines.
    pattern:
      /^\s*(?:\S+ )*(?:BOOT_IMAGE=|root=|quiet|splash|(?:intel_|amd_)?iommu(?:=|\.)|pci=|ro\b|rw\b|console=|mitigations=)[^\n]*\s*$/,
    supplies: ["command-line"],
    read: (text) => ({ commandLine: text.trim() }),
  },
];

const companionOf = (head: CaptureHead): Companion | undefined => {
  const text = headText(head);
  return COMPANIONS.find(({ pattern }) => pattern.test(text));
};

export const looksLikeCompanion = (head: CaptureHead): boolean => companionOf(head) !== undefined;

/** @throws InputError when it is too long or says nothing after all */
export async function readCompanion(head: CaptureHead): Promise<Topology> {
  const companion = companionOf(head);
  if (companion === undefined) {
    throw new InputError({
      source: head.path,
      cause: "this is not the output of a command that is known here",
      remedy: `Known: ${COMPANIONS.map(({ format }) => format).join(", ")}`,
    });
  }
  const text = await captureText(head, COMPANION_BYTES_MAX);
  const lacking = FACT_NAMES.filter((name) => !companion.supplies.includes(name));
  return buildTopology(
    {
      ...factsNamed(head.path),
      format: companion.format,
      tree: "none",
      missing: missingFacts(...lacking),
      ...companion.read(text),
    },
    [],
  );
}

function readCpuinfo(text: string): Partial<MachineFacts> {
  const cpu = cpuOf(text);
  const isVirtualMachine = virtualMachineOf(text, undefined);
  return {
    ...(cpu !== undefined && { cpu }),
    ...(isVirtualMachine !== undefined && { isVirtualMachine }),
  };
}

/** `6.12.117`, `Linux host 6.12.117 #1 SMP ...` or the text of /proc/version. */
function readUname(text: string): Partial<MachineFacts> {
  const kernelRelease = /(?:^|\s)(\d+\.\d+\.\d+[\w.+~-]*)/.exec(text)?.[1];
  return kernelRelease === undefined ? {} : { kernelRelease };
}

/** Nodes in a listing, at most. */
const NODE_COUNT_MAX = 1024;

function numaNodesIn(text: string): NumaNode[] {
  const [nodes = "", table = ""] = text.split("node distances:", 2);
  const distances = new Map(
    Array.from(table.matchAll(/^\s*(\d{1,6}):([\d ]+)$/gm), ([, id, row]) => [id, numbersIn(row)]),
  );
  const lines = [...nodes.matchAll(/^node (\d{1,6}) cpus:([\d ]*)$/gm)].slice(0, NODE_COUNT_MAX);
  return lines.map(([, id = "", cpus]) => ({
    id: Number(id),
    cpuList: listOf(numbersIn(cpus)),
    distances: distances.get(id) ?? [],
  }));
}

const numbersIn = (text = ""): number[] =>
  text.trim() === "" ? [] : text.trim().split(/\s+/).map(Number);

/** Numbers one by one as ranges, as the kernel would print them. */
function listOf(cpus: readonly number[]): string {
  const starts = cpus.filter((cpu, index) => index === 0 || cpus[index - 1] !== cpu - 1);
  const ends = cpus.filter((cpu, index) => cpus[index + 1] !== cpu + 1);
  return starts
    .map((start, index) => (start === ends[index] ? String(start) : `${start}-${ends[index]}`))
    .join(",");
}

const groupTypesIn = (text: string): Map<number, string> =>
  new Map(
    Array.from(
      text.matchAll(/iommu_groups\/(\d{1,9})\/type:([\w-]{1,32})\s*$/gm),
      ([, group, type]): [number, string] => [Number(group), type ?? ""],
    ),
  );
