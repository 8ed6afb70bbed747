/**
 * Refusal: an answer that a check has to take for a no, and not for a mistake.
 */
import { NegotiationError, PeerbufError } from "@peerbuf/core";

/** The driver declines with its reasons, or has no room for the check's buffers. */
export function isRefusal(error: unknown, rule: string): boolean {
  if (error instanceof NegotiationError) {
    return !MUST_SUCCEED.has(rule);
  }
  const hasNoRoom = error instanceof PeerbufError && error.code === "MEMORY_EXHAUSTED";
  return hasNoRoom && rule.startsWith("EXP") && !ABOUT_ROOM.has(rule);
}

/** The plain use of an importer: there is nothing to decline. */
const MUST_SUCCEED: ReadonlySet<string> = new Set(["IMP-030"]);

/** Checks that a driver without room for their buffers breaks; others do not apply to so small a memory. */
const ABOUT_ROOM: ReadonlySet<string> = new Set(["EXP-021", "EXP-035", "EXP-036", "EXP-037"]);
