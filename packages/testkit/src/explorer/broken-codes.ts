/**
 * Broken codes: errors that are no refusals but somebody's mistake, and the rule each of them stands for.
 */
import { PeerbufError } from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";

const RULE_OF_CODE: Readonly<Record<string, RuleId>> = {
  DRIVER_BROKEN: "EXP-003",
  FENCE_CALLBACK_FAILED: "SYN-016",
  WAIT_TIMED_OUT: "SYN-020",
  HANDLE_CLOSED: "IMP-011",
  LOCK_DEADLOCK: "SYN-009",
  LOCK_NOT_HELD: "SYN-008",
  WAIT_IN_SIGNALLING: "SYN-003",
};

/** The rule that this error breaks; undefined: a refusal, which is nobody's fault. */
export function ruleOfError(error: unknown): RuleId | undefined {
  if (error instanceof Error && error.name === "SuppressedError") {
    // Of `using`: one error came while another was on its way.
    const { error: later, suppressed } = error as Error & { error: unknown; suppressed: unknown };
    return ruleOfError(suppressed) ?? ruleOfError(later);
  }
  return error instanceof PeerbufError ? RULE_OF_CODE[error.code] : "IMP-003";
}
