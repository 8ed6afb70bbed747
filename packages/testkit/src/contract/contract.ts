/**
 * Contract: a list of checks about one driver or platform, and what came of them.
 *
 * Each check makes a world of its own, so they can run alone, in any order and in any test runner. A
 * check never throws what it finds: it returns it.
 */
import type { Violation } from "../checker/violation.ts";
import { describeViolation } from "../checker/violation.ts";
import type { RuleId } from "../rules/rule.ts";

/** `not claimed`: the driver has no such ability, or did not tell the kit how to use it. */
export type CheckOutcome = "held" | "broken" | "not claimed";

export interface CheckResult {
  readonly name: string;
  /** What the check is about; the checker looks for all rules meanwhile. */
  readonly rules: readonly RuleId[];
  readonly outcome: CheckOutcome;
  /** Why it was not claimed. */
  readonly note?: string;
  readonly violations: readonly Violation[];
}

export interface ContractCheck {
  readonly name: string;
  readonly rules: readonly RuleId[];
  run(): Promise<CheckResult>;
}

export interface Contract {
  /** Role and name, e.g. `exporter "gpu"`. */
  readonly subject: string;
  readonly checks: readonly ContractCheck[];
}

export interface ContractReport {
  readonly subject: string;
  readonly isHeld: boolean;
  readonly results: readonly CheckResult[];
  /** Of all checks; each rule, subject and text once. */
  readonly violations: readonly Violation[];
}

export interface ContractOptions {
  /** Told after each check. */
  readonly onProgress?: (done: number, count: number, last: CheckResult) => void;
}

/** Runs all checks, one after the other. */
export async function checkContract(
  { subject, checks }: Contract,
  { onProgress }: ContractOptions = {},
): Promise<ContractReport> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    const result = await check.run();
    results.push(result);
    onProgress?.(results.length, checks.length, result);
  }
  const violations = distinct(results.flatMap((result) => result.violations));
  return { subject, isHeld: violations.length === 0, results, violations };
}

/** What a test runner has to offer: vitest, jest and node:test do. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  /** What the runner hands to the body may have a `skip` that takes a reason. */
  it(name: string, body: (...context: readonly unknown[]) => Promise<void>): unknown;
}

/**
 * Every check as a test of its own; a broken rule fails it with all that was found, and what is not claimed is
 * skipped with the reason, where the runner can.
 */
export function describeContract({ subject, checks }: Contract, runner: TestRunner): void {
  runner.describe(`contract of ${subject}`, () => {
    for (const check of checks) {
      runner.it(`${check.name} [${check.rules.join(", ")}]`, async (...[context]) => {
        const { outcome, note, violations } = await check.run();
        if (outcome === "broken") {
          throw new Error(violations.map(describeViolation).join("\n"));
        }
        if (outcome === "not claimed") {
          (context as { skip?(reason?: string): void } | undefined)?.skip?.(`not claimed: ${note}`);
        }
      });
    }
  });
}

function distinct(violations: readonly Violation[]): Violation[] {
  const byKey = new Map(
    violations.map((each) => [`${each.rule} ${each.subject} ${each.text}`, each]),
  );
  return [...byKey.values()];
}
