/**
 * Kernel comparison: which pairs another kernel would judge otherwise, on the same machine.
 */
import type { PathType } from "@peerbuf/core";
import { judgeAllPairs, type KernelRules, type Topology } from "@peerbuf/topology";
import { columns } from "./columns.ts";
import { shortNames } from "./function-label.ts";
import type { Field } from "./matrix-table.ts";
import type { Session } from "./session.ts";
import { paintType } from "./verdict-words.ts";

interface Change {
  readonly provider: number;
  readonly client: number;
  readonly before: PathType;
  readonly after: PathType;
}

interface Comparison {
  readonly topology: Topology;
  readonly rules: KernelRules;
  readonly other: KernelRules;
  readonly pairCount: number;
  readonly changes: readonly Change[];
}

/** Lines for people, at most; JSON has all. */
const SHOWN_MAX = 40;

/** Ordered pairs of different functions; in order of provider, then client. */
export function changesBetween({ topology, rules, rows }: Field, other: KernelRules): Comparison {
  const before = judgeAllPairs(topology, rules, rows);
  const after = judgeAllPairs(topology, other, rows);
  const changes: Change[] = [];
  for (const provider of rows) {
    for (const client of rows) {
      const cell = [before.positionOf(provider), before.positionOf(client)] as const;
      const change = {
        provider,
        client,
        before: before.typeAt(...cell),
        after: after.typeAt(...cell),
      };
      if (provider !== client && change.before !== change.after) {
        changes.push(change);
      }
    }
  }
  return { topology, rules, other, pairCount: rows.length * (rows.length - 1), changes };
}

export const changesAsJson = ({ topology, rules, other, changes }: Comparison): unknown => ({
  kernel: rules.version,
  comparedKernel: other.version,
  changes: changes.map(({ provider, client, before, after }) => ({
    provider: topology.bdfOf(provider),
    client: topology.bdfOf(client),
    before,
    after,
  })),
});

export function changesLines({ paint }: Session, comparison: Comparison): string[] {
  const { topology, rules, other, pairCount, changes } = comparison;
  const kernels = `${rules.name} and ${other.name}`;
  if (changes.length === 0) {
    return [`${kernels} judge all ${pairCount} ordered pairs of ${topology.facts.source} alike.`];
  }
  const names = shortNames(topology);
  const nameOf = (row: number): string => paint.name(names.get(row) ?? topology.bdfOf(row));
  const shown = changes
    .slice(0, SHOWN_MAX)
    .map(({ provider, client, before, after }) => [
      nameOf(provider),
      `to ${nameOf(client)}`,
      paintType(paint, before),
      `-> ${paintType(paint, after)}`,
    ]);
  const rest = changes.length - shown.length;
  return [
    `${paint.strong(`${changes.length} of ${pairCount} ordered pairs change`)} from ${rules.name} to ${other.name}:`,
    "",
    ...columns(shown, { indent: 2 }),
    ...(rest > 0 ? [`  ... and ${rest} more (--json has all)`] : []),
  ];
}
