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
  ROOT_COMPLEX_REFUSED: "pairs that meet only in the root complex are refused by the kernel",
  REDIRECT_REFUSED:
    "ACS redirect sends pairs below one bridge to a root complex that the kernel refuses",
  REDIRECT_DETOUR: "ACS redirect sends pairs below one bridge through the root complex",
  REDIRECT_TRANSLATED: "ACS redirect sends pairs below one bridge to an IOMMU that translates",
  FACTS_MISSING: "verdicts hang on facts that the capture lacks",
  WRITES_ONLY: "this root complex carries peer writes and drops or corrupts reads",
  BAR_SMALL: "most of the device's memory is out of reach of its peers",
  LINK_NARROW: "a link runs with fewer lanes than both ends have",
  LINK_SLOW: "a link runs slower than both ends can",
  SOCKETS_CROSSED: "P2P is possible between sockets, but slower than it looks",
  IOMMU_TRANSLATES: "the IOMMU translates what passes the root complex",
  PARAMETER_IGNORED: "a part of the kernel command line is ignored or means something else",
  VIRTUAL_MACHINE: "the topology is what a hypervisor shows",
  SPLIT_FUNCTION: "a device's memory is its own package's system memory",
} as const;

export type FindingCode = keyof typeof MEANINGS;

/** Meaning by code. */
export const FINDING_CODES: Readonly<Record<FindingCode, string>> = MEANINGS;

/**
 * `blocks`: P2P is refused, or known to lose data. `open`: the capture does not say. `slows`: it works,
 * worse than it could. `note`: worth knowing.
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
