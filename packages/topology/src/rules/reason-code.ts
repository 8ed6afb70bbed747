/**
 * Reason codes: every reason a verdict can give, with what it means. Codes are stable; texts are not.
 */
import type { PathReason } from "@peerbuf/core";

const MEANINGS = {
  "same-function": "provider and client are one function",
  "common-bridge": "`at` is the lowest bridge above both",
  "no-common-bridge": "the traffic meets only in the root complex",
  "acs-redirect": "`at` sends peer traffic up, by bits of its ACS control",
  "acs-unknown": "whether `at` redirects is not in the capture, and the answer hangs on it",
  "cpu-accepted": "the CPU's root complex routes peer traffic",
  "cpu-not-accepted": "the CPU does not pass by itself, so the host bridges decide",
  "cpu-unknown": "the CPU is not in the capture, and the answer hangs on it",
  "host-bridge-listed": "the host bridge that `at` names is in the kernel's table",
  "host-bridge-same-only": "it is in the table for traffic within one host bridge only",
  "host-bridge-not-listed": "it is not in the table",
  "host-bridge-unnamed": "the first function on the root bus may not name a host bridge",
  "host-bridge-id-unknown": "the ids of `at` are not in the capture",
  "host-bridge-kind-unknown": "whether `at` is a root port is not in the capture",
  "host-bridge-unverified": "whether this kernel has the row is not verified",
  "function-not-captured": "`at` is no function of this capture",
  "not-a-pci-function": "`at` is no PCI function at all",
} as const;

export type ReasonCode = keyof typeof MEANINGS;

/** Meaning by code. */
export const REASON_CODES: Readonly<Record<ReasonCode, string>> = MEANINGS;

/** A reason of these rules. */
export interface RuleReason extends PathReason {
  readonly code: ReasonCode;
}
