/**
 * Machine facts: what a capture says about the machine as a whole, and how much a capture can say.
 *
 * Every fact but the source may be missing, and a missing one means "not captured", never "off": an
 * IOMMU that left no trace in a partial capture may still be on. `tree` and `missing` say what the
 * *format* cannot carry, so that a verdict can name the fact it hangs on instead of guessing it.
 *
 * Facts of single functions are in the function table; how two captures are joined is in `merge/`.
 */
import type { MissingFact } from "./missing-fact.ts";
import type { PathClassTable } from "./path-class.ts";

/** A processor, as far as the P2PDMA rules ask (reference: arch cpu check in p2pdma.c, 6.12). */
export interface CpuFacts {
  /** x86: CPUID vendor string, e.g. `AuthenticAMD`. Other processors: any other text, e.g. `ARM 0x41`. */
  readonly vendor: string;
  /** x86 family as in /proc/cpuinfo (extended family added), e.g. 0x19 for Zen 3. */
  readonly family?: number;
  readonly model?: number;
  readonly modelName?: string;
}

export interface NumaNode {
  readonly id: number;
  /** ACPI SLIT distances to the nodes of the machine in order of id; 10 is local. Empty: not captured. */
  readonly distances: readonly number[];
  /** CPU list as the kernel prints it, e.g. `0-15,32-47`. Empty: not captured or no CPUs. */
  readonly cpuList: string;
  /** Processor package the node is part of. Left out: not captured. */
  readonly socket?: number;
}

/** How an IOMMU group translates, as in /sys/kernel/iommu_groups/N/type: `DMA`, `DMA-FQ`, `identity`, ... */
export type IommuGroupType = string;

/**
 * How far the tree of bridges can be trusted:
 * - `whole`: every function the machine showed to whoever captured it.
 * - `chains`: other functions may be missing, but above every function that is there stands every bridge
 *   up to its root bus, so common bridges and distances are right. The first function of a root bus,
 *   which names the host bridge, may be missing unless it stands at 00.0.
 * - `gaps`: bridges may be missing between those shown, and root buses are made up where the capture ends.
 *   Neither a distance nor "no common bridge" can be claimed.
 * - `none`: there is no tree in the capture; functions, if any, are unrelated.
 */
export type TreeCoverage = "whole" | "chains" | "gaps" | "none";

/** A link between two accelerators that does not go through PCIe. */
export interface PeerLink {
  readonly kind: "nvlink" | "xgmi";
  /** BDFs; a link to an NVSwitch names the switch (or what the capture writes for it). */
  readonly from: string;
  readonly to: string;
  /** Links in the bond, at least 1. */
  readonly count: number;
}

/** Functions that the writer of a capture says are near each other, without a real bridge to show for it. */
export interface NearGroup {
  /** What stands for the group in the capture, e.g. `ffff:ff:01.0`. */
  readonly name: string;
  /** BDFs. */
  readonly members: readonly string[];
}

/** One fact on which captures of one machine differ. */
export interface Contradiction {
  /** Name of the fact, e.g. `acs control`, `link speed`, `command line`. */
  readonly fact: string;
  /** BDF; left out when it is about the whole machine. */
  readonly at?: string;
  /** What each capture says, in the order given; the first one was kept. */
  readonly values: readonly { readonly source: string; readonly value: string }[];
}

export interface MachineFacts {
  /** The file or folder it was read from, or a name given in code. Shown in every error. */
  readonly source: string;
  /** What a person calls the format, e.g. `hwloc XML (version 2)`; `model` for a machine made in code. */
  readonly format: string;
  readonly tree: TreeCoverage;
  /** Facts that this format (or the one who captured) could not carry at all. Empty: nothing in particular. */
  readonly missing: readonly MissingFact[];
  /** `uname -r`, e.g. `6.12.117`. */
  readonly kernelRelease?: string;
  readonly commandLine?: string;
  /** Values by option, `CONFIG_PCI_P2PDMA` to `y`, `m` or `n`. An option that is not named is not known. Left out: not captured. */
  readonly kernelConfig?: ReadonlyMap<string, string>;
  /** The boot processor. */
  readonly cpu?: CpuFacts;
  readonly numaNodes: readonly NumaNode[];
  readonly iommuGroupTypes: ReadonlyMap<number, IommuGroupType>;
  /** True: the kernel was seen to have no IOMMU group, so nothing translates. Left out: not known, or there are groups. */
  readonly hasNoIommuGroup?: boolean;
  /** True: a hypervisor was seen, so the tree is what it shows and says nothing about the host. Left out: not known. */
  readonly isVirtualMachine?: boolean;
  /** Maker and product, e.g. `Supermicro AS -4124GS-TNR`. */
  readonly product?: string;
  /** Names the operating system gives, by BDF: `nvme0n1`, `mlx5_0`, `eth0`, `cuda0`. */
  readonly osNames: ReadonlyMap<string, readonly string[]>;
  /** OS names of devices that a capture shows without a PCI function: virtual ones, or on another bus. */
  readonly nonPciNames: readonly string[];
  /** What a capture itself calls a device, by BDF, e.g. `NVIDIA Corporation AD102GL [RTX 6000 Ada Generation]`. */
  readonly modelNames: ReadonlyMap<string, string>;
  /** The matrix of `nvidia-smi topo -m`, where one was captured. */
  readonly pathClasses?: PathClassTable;
  readonly peerLinks: readonly PeerLink[];
  readonly nearGroups: readonly NearGroup[];
  /** BDFs that the NVIDIA or AMD library found usable for direct access by a NIC when the capture was made. */
  readonly directNicAccess: ReadonlySet<string>;
  /** Differences between captures that were given together. */
  readonly contradictions: readonly Contradiction[];
}

/** Facts of a machine made in code, of which nothing but a name is known. */
export const factsNamed = (source: string): MachineFacts => ({
  source,
  format: "model",
  tree: "whole",
  missing: [],
  numaNodes: [],
  iommuGroupTypes: new Map(),
  osNames: new Map(),
  nonPciNames: [],
  modelNames: new Map(),
  peerLinks: [],
  nearGroups: [],
  directNicAccess: new Set(),
  contradictions: [],
});
