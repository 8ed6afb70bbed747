/**
 * Finding book: what the contract and the explorer have found in a driver so far, as the report that is sent.
 */
import {
  type CheckResult,
  type ExploreReport,
  type ReplayReport,
  ruleOf,
  TransitionCounts,
  type Violation,
} from "@peerbuf/testkit";
import type { AnyDriver } from "./driver-module.ts";
import type { CheckLine, ExploredLine, FoundViolation, KitReport } from "./kit-order.ts";

export class FindingBook {
  readonly #driver: AnyDriver;
  readonly #checks: CheckLine[] = [];
  readonly #lines: ExploredLine[] = [];
  readonly #violations = new Map<string, FoundViolation>();
  readonly #counts = new TransitionCounts();

  constructor(driver: AnyDriver) {
    this.#driver = driver;
  }

  /** The same about the same subject is said once, where it was found first. */
  noteCheck({ name, rules, outcome, violations }: CheckResult): void {
    this.#checks.push({ name, rules, outcome });
    for (const violation of violations) {
      const { rule, subject, text } = violation;
      const key = `${rule} ${subject} ${text}`;
      const known = this.#violations.get(key);
      this.#violations.set(key, known ?? described(violation, name, "contract"));
    }
  }

  noteExplored({
    scenario,
    schedules,
    hash,
    isComplete,
    failure,
    transitions,
  }: ExploreReport): void {
    const isBroken = failure !== undefined;
    this.#counts.add(transitions);
    this.#lines.push({ scenario, schedules, hash: hexOf(hash), isComplete, isBroken });
    if (failure !== undefined) {
      this.#noteRun(failure.violation, scenario, failure.token, failure.story);
    }
  }

  /** The scenario cannot be played with this driver. */
  noteNotRun(scenario: string, notRun: string): void {
    const hash = hexOf(0);
    this.#lines.push({ scenario, schedules: 0, hash, isComplete: false, isBroken: false, notRun });
  }

  noteReplay({ scenario, hash, violations, story }: ReplayReport, token: string): void {
    const [first] = violations;
    const isBroken = first !== undefined;
    this.#lines.push({ scenario, schedules: 1, hash: hexOf(hash), isComplete: false, isBroken });
    if (first !== undefined) {
      this.#noteRun(first, scenario, token, story);
    }
  }

  report(): KitReport {
    const { name, role } = this.#driver;
    const steps = this.#counts.steps();
    return {
      driver: { name, role },
      checks: [...this.#checks],
      explored: [...this.#lines],
      transitions: steps.flatMap((step) => (step.count > 0 ? [step.name] : [])),
      neverSeen: steps.flatMap((step) => (step.count > 0 ? [] : [step.name])),
      pairs: this.#counts.pairs(),
      violations: [...this.#violations.values()],
    };
  }

  #noteRun(violation: Violation, scenario: string, token: string, story: string): void {
    const found = { ...described(violation, scenario, "explorer"), token, story: linesOf(story) };
    this.#violations.set(token, found);
  }
}

function described(
  { rule, subject, text, actor, step }: Violation,
  where: string,
  by: FoundViolation["by"],
): FoundViolation {
  const { text: ruleText, source } = ruleOf(rule);
  return { rule, ruleText, source, subject, text, in: where, by, actor, step };
}

/** The verdict at the end of a story is said elsewhere. */
const linesOf = (story: string): string[] => (story.split("\n\n")[0] ?? "").split("\n");

const hexOf = (hash: number): string => hash.toString(16).padStart(8, "0");
