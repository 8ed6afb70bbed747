/**
 * Thrown: which rule an error breaks that comes out of an event of a driver's own.
 */
import { PeerbufError } from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";

/** A callback that threw, or a late error, comes out of whatever signaled the fence. */
export function ruleOfThrown(error: unknown): RuleId {
  const code = error instanceof PeerbufError ? error.code : undefined;
  if (code === "FENCE_CALLBACK_FAILED") {
    return "SYN-016";
  }
  return code === "FENCE_SIGNALED" ? "SYN-012" : "PLT-035";
}
