/**
 * Violation: one rule, broken once, with who did it and at which step.
 *
 * Checks report and go on: a run is never stopped by its checker. The same violation of the same
 * subject is kept once.
 */

import { ruleOf } from "../rules/registry.ts";
import type { RuleId } from "../rules/rule.ts";

export interface Violation {
  readonly rule: RuleId;
  /** What happened, with names and numbers; the rule itself says what should have. */
  readonly text: string;
  /** Driver, buffer, fence or lock that it is about. */
  readonly subject: string;
  /** The step of the run, as the checker was told; 0 where nobody counts. */
  readonly step: number;
  /** Who ran when it happened; empty where nobody said. */
  readonly actor: string;
  /** The line that made the handle in question, if traces are on. */
  readonly origin?: string;
}

/** More than this many different violations are counted and not kept. */
export const VIOLATIONS_KEPT_MAX = 1000;

export interface ViolationLogOptions {
  readonly step: () => number;
  readonly actor: () => string;
  readonly onViolation: ((violation: Violation) => void) | undefined;
}

export class ViolationLog {
  readonly kept: Violation[] = [];
  readonly #options: ViolationLogOptions;
  readonly #seen = new Set<string>();
  #count = 0;

  constructor(options: ViolationLogOptions) {
    this.#options = options;
  }

  /** All that were reported, repeated ones as well. */
  get count(): number {
    return this.#count;
  }

  report(rule: RuleId, subject: string, text: string, origin?: string): void {
    ruleOf(rule);
    this.#count++;
    const key = `${rule} ${subject} ${text}`;
    if (this.#seen.has(key) || this.kept.length >= VIOLATIONS_KEPT_MAX) {
      return;
    }
    this.#seen.add(key);
    const where = { step: this.#options.step(), actor: this.#options.actor() };
    const violation: Violation = {
      rule,
      text,
      subject,
      ...where,
      ...(origin === undefined ? {} : { origin }),
    };
    this.kept.push(violation);
    this.#options.onViolation?.(violation);
  }
}

/** One line for people: `EXP-018 gpu@0000:3b:00.0: moved under ... (step 12, by nvme)`. */
export function describeViolation({ rule, subject, text, step, actor, origin }: Violation): string {
  const who = actor === "" ? `step ${step}` : `step ${step}, while ${actor} ran`;
  const made = origin === undefined ? "" : `; made ${origin}`;
  return `${rule} ${subject}: ${text} (${who}${made})`;
}
