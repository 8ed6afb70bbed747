/**
 * Machine facts: what a capture says about the machine as a whole.
 *
 * Every member but the source may be missing, and a missing one means "not captured", never "off":
 * an IOMMU that left no trace in a partial capture may still be on.
 */

/** The boot processor, as far as the P2PDMA rules ask (reference: arch cpu check in p2pdma.c, 6.12). */
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
}

/** How an IOMMU group translates, as in /sys/kernel/iommu_groups/N/type: `DMA`, `DMA-FQ`, `identity`, ... */
export type IommuGroupType = string;

export interface MachineFacts {
  /** The file or folder it was read from, or a name given in code. Shown in every error. */
  readonly source: string;
  /** `uname -r`, e.g. `6.12.117`. */
  readonly kernelRelease?: string;
  readonly commandLine?: string;
  readonly cpu?: CpuFacts;
  readonly numaNodes: readonly NumaNode[];
  readonly iommuGroupTypes: ReadonlyMap<number, IommuGroupType>;
}

/** Facts of a machine made in code, of which nothing but a name is known. */
export const factsNamed = (source: string): MachineFacts => ({
  source,
  numaNodes: [],
  iommuGroupTypes: new Map(),
});
