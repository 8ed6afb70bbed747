/**
 * Reason codes: every reason a verdict can give, with what it means. Codes are stable; texts are not.
 */
import type { PathReason } from "@peerbuf/core";

const MEANINGS = {
  SAME_FUNCTION: "provider and client are one function",
  COMMON_BRIDGE: "`at` is the lowest bridge above both",
  NO_COMMON_BRIDGE: "the traffic meets only in the root complex",
  BRIDGES_UNKNOWN:
    "bridges may be missing from the capture, so it does not show where the paths meet",
  ACS_REDIRECT: "`at` sends peer traffic up, by bits of its ACS control",
  ACS_UNKNOWN: "whether `at` redirects is not in the capture, and the answer hangs on it",
  CPU_ACCEPTED: "the CPU's root complex routes peer traffic",
  CPU_NOT_ACCEPTED: "the CPU does not pass by itself, so the host bridges decide",
  CPU_UNKNOWN: "the CPU is not in the capture, and the answer hangs on it",
  HOST_BRIDGE_LISTED: "the host bridge that `at` names is in the kernel's table",
  HOST_BRIDGE_SAME_ONLY: "it is in the table for traffic within one host bridge only",
  HOST_BRIDGE_NOT_LISTED: "it is not in the table",
  HOST_BRIDGE_UNNAMED: "the first function on the root bus may not name a host bridge",
  HOST_BRIDGE_ID_UNKNOWN: "the ids of `at` are not in the capture",
  HOST_BRIDGE_KIND_UNKNOWN: "whether `at` is a root port is not in the capture",
  HOST_BRIDGE_UNVERIFIED: "whether this kernel has the row is not verified",
  FUNCTION_NOT_CAPTURED: "`at` is no function of this capture",
  NOT_A_PCI_FUNCTION: "`at` is no PCI function at all",
} as const;

export type ReasonCode = keyof typeof MEANINGS;

/** Meaning by code. */
export const REASON_CODES: Readonly<Record<ReasonCode, string>> = MEANINGS;

/** A reason of these rules. */
export interface RuleReason extends PathReason {
  readonly code: ReasonCode;
}
