/**
 * Finding: one thing about a machine that its owner should know, and what to do about it.
 *
 * A finding is about a cause, not about a pair: one bridge that redirects makes one finding, however many
 * pairs pass it. Severities order findings; what a finding claims is only what the capture shows, and a
 * fact that the capture lacks makes a finding of its own (`open`).
 */
import type { Fix } from "../fixes/fix.ts";

/** Pairs listed in one finding or effect, at most; `pairCount` counts all of them. */
export const PAIRS_LISTED_MAX = 64;

/** Codes are stable; texts are not. */
const MEANINGS = {
  P2PDMA_NOT_COMPILED: "the kernel was built without CONFIG_PCI_P2PDMA",
  P2PDMA_NOT_KNOWN: "whether the kernel has CONFIG_PCI_P2PDMA is not in the capture",
  DRIVER_OPTION_OFF: "a driver was built without its own peer-to-peer option",
  DRIVER_MISSING: "no driver of the host is bound to the device",
  REDIRECT_REFUSED:
    "ACS redirect sends pairs below one bridge to a root complex that the kernel refuses",
  REDIRECT_TRANSLATED:
    "ACS redirect sends pairs below one bridge through the root complex, where the IOMMU translates",
  REDIRECT_DETOUR: "ACS redirect sends pairs below one bridge through the root complex",
  ROOT_COMPLEX_REFUSED: "pairs that meet only in the root complex are refused by the kernel",
  WRITES_ONLY: "the root complex is known to lose peer reads",
  FACTS_MISSING: "verdicts hang on facts that the capture lacks",
  VIRTUAL_MACHINE: "the topology is what a hypervisor shows",
  PARAMETER_IGNORED: "a part of the kernel command line does not do what it seems to say",
  IOMMU_TRANSLATES: "the IOMMU translates what passes the root complex",
  IOMMU_NOT_KNOWN: "whether an IOMMU translates what passes the root complex is not in the capture",
  SOCKETS_CROSSED: "P2P is possible between sockets, and not advised",
  BAR_SMALL: "most of a device's memory is out of reach of its peers",
  MEMORY_IN_PACKAGE: "a device's memory is the system memory of its own package",
  PRIVATE_LINKS: "some accelerators have links of their own beside PCIe",
  LINK_NARROW: "a link runs with fewer lanes than both of its ends have",
  LINK_SLOW: "a link runs slower than both of its ends can",
  GROUPS_OUTDATED: "IOMMU groups claim an isolation that ACS does not give any more",
} as const;

export type FindingCode = keyof typeof MEANINGS;

/** Meaning by code. */
export const FINDING_CODES: Readonly<Record<FindingCode, string>> = MEANINGS;

/**
 * `blocks`: P2P is refused, or known to lose data. `open`: it hangs on what a capture does not say. `slows`:
 * it works, worse than it could. `note`: worth knowing.
 */
export type Severity = "blocks" | "open" | "slows" | "note";

/** An ordered pair by BDF: whose memory, and who reads and writes it. */
export interface PairName {
  readonly provider: string;
  readonly client: string;
}

export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  /** BDFs of the functions, or root buses (`dddd:bb`), that are to blame. Empty: the whole machine. */
  readonly at: readonly string[];
  readonly text: string;
  /** Where the fact comes from, e.g. `ACS control register, config space`. */
  readonly source: string;
  /** Ordered pairs that it touches, at most `PAIRS_LISTED_MAX`; empty when it touches all or none. */
  readonly pairs: readonly PairName[];
  readonly pairCount: number;
  /** Best first. */
  readonly fixes: readonly Fix[];
}

const ORDER: readonly Severity[] = ["blocks", "open", "slows", "note"];

/** By severity, then by the number of pairs touched. */
export const byWeight = (one: Finding, other: Finding): number =>
  ORDER.indexOf(one.severity) - ORDER.indexOf(other.severity) || other.pairCount - one.pairCount;
