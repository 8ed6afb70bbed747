/**
 * Page: the rules as a table of Markdown, for `docs/contract.md`.
 */
import { RULES } from "./registry.ts";
import type { Rule, RuleGroup } from "./rule.ts";

const TITLES: Readonly<Record<RuleGroup, string>> = {
  EXP: "Exporters",
  IMP: "Importers",
  PLT: "Platforms, and what drivers take from them",
  SYN: "Fences, locks and waits",
};

/** All rules, a table for each group. */
export function rulesAsMarkdown(): string {
  return (Object.keys(TITLES) as RuleGroup[]).map(tableOf).join("\n\n");
}

function tableOf(group: RuleGroup): string {
  const rules = RULES.filter(({ id }) => id.startsWith(`${group}-`));
  const head = ["| Rule | What must hold | Found by | Where it is written |", "|---|---|---|---|"];
  return [`## ${TITLES[group]}`, "", ...head, ...rules.map(row)].join("\n");
}

const row = ({ id, text, source, by }: Rule): string =>
  `| ${id} | ${text} | ${by} | ${source.replaceAll("|", "\\|")} |`;
