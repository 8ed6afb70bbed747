/** The public surface of `@peerbuf/testkit`. Everything not named here is private. */
export { type Checker, type CheckerOptions, createChecker } from "./checker/checker.ts";
export type { DeviceAccess } from "./checker/device-access.ts";
export { POISON_ADDRESS } from "./checker/dma-ledger.ts";
export { describeViolation, VIOLATIONS_KEPT_MAX, type Violation } from "./checker/violation.ts";
export type { Decisions } from "./explorer/decisions.ts";
export { RULES, ruleOf } from "./rules/registry.ts";
export type { Rule, RuleFinder, RuleGroup, RuleId } from "./rules/rule.ts";
