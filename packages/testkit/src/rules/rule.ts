/**
 * Rule: one sentence that a driver, or the ground it stands on, has to keep.
 *
 * Ids are for ever: a rule that is given up leaves a gap, and a new one takes the next number. What a
 * rule demands is said here; how it is looked for is the business of `checker/` and `contract/`.
 */

/** `EXP` exporters, `IMP` importers, `PLT` platforms and what is taken from them, `SYN` fences, locks and waits. */
export type RuleGroup = "EXP" | "IMP" | "PLT" | "SYN";

export type RuleId = `${RuleGroup}-${string}`;

/** `checker`: found while any run is watched. `suite`: found by a check that makes the situation. */
export type RuleFinder = "checker" | "suite";

export interface Rule {
  readonly id: RuleId;
  /** What must hold, one sentence. */
  readonly text: string;
  /** Where it is written: a kernel function and version, a document, or the contract of `@peerbuf/core`. */
  readonly source: string;
  readonly by: RuleFinder;
}

export function rule(id: RuleId, by: RuleFinder, text: string, source: string): Rule {
  return Object.freeze({ id, text, source, by });
}
