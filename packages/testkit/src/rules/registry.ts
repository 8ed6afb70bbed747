/**
 * Registry: every rule there is, by its id.
 */
import { assert } from "@peerbuf/core";
import { EXPORTER_RULES } from "./exporter-rules.ts";
import { IMPORTER_RULES } from "./importer-rules.ts";
import { PLATFORM_RULES } from "./platform-rules.ts";
import type { Rule, RuleId } from "./rule.ts";
import { SYNC_RULES } from "./sync-rules.ts";

/** All rules, in the order of `docs/contract.md`. */
export const RULES: readonly Rule[] = Object.freeze([
  ...EXPORTER_RULES,
  ...IMPORTER_RULES,
  ...PLATFORM_RULES,
  ...SYNC_RULES,
]);

const byId: ReadonlyMap<string, Rule> = new Map(RULES.map((each) => [each.id, each]));

/** The rule with this id; asking for one that does not exist is a mistake of the kit. */
export function ruleOf(id: RuleId): Rule {
  const found = byId.get(id);
  assert(found !== undefined, `there is no rule ${id}`);
  return found;
}
