/**
 * Machine diagnosis: the findings that matter on one machine, the most important first.
 *
 * One finding for one cause. Which pairs it is about: see `pair-scope.ts`.
 */
import type { PathType } from "@peerbuf/core";
import { effectOf } from "../fixes/effect.ts";
import type { Effect } from "../fixes/fix.ts";
import { judgeAllPairs } from "../rules/all-pairs.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import { deviceFindings } from "./device-findings.ts";
import { byWeight, type Finding } from "./finding.ts";
import { machineFindings } from "./machine-findings.ts";
import { missingFindings } from "./missing-findings.ts";
import type { DiagnoseOptions } from "./pair-diagnosis.ts";
import { countsOf, scopeOf } from "./pair-scope.ts";
import { redirectFindings } from "./redirect-findings.ts";
import { rootFindings } from "./root-findings.ts";
import { Ways } from "./ways.ts";

export interface MachineDiagnosis {
  /** Ordered pairs looked at: a provider with memory to share, and another function. */
  readonly pairCount: number;
  /** Those pairs by the kernel's verdict. */
  readonly counts: Readonly<Record<PathType, number>>;
  readonly findings: readonly Finding[];
}

/** @throws InputError above `ALL_PAIRS_COUNT_MAX` functions */
export function diagnoseMachine(
  topology: Topology,
  rules: KernelRules,
  options: DiagnoseOptions = {},
): MachineDiagnosis {
  const scope = scopeOf(topology, options.between);
  const pairs = judgeAllPairs(topology, rules, scope.rows);
  const ways = new Ways(topology, rules);
  const counts = countsOf(scope, pairs);
  const pairCount = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const workingCount = counts["bus-addr"] + counts["host-bridge"];
  const findings = [
    ...machineFindings(topology, rules, { pairCount, workingCount }),
    ...redirectFindings(topology, rules, scope, pairs, ways),
    ...rootFindings(topology, rules, scope, pairs, ways),
    ...missingFindings(topology, rules, scope, pairs),
    ...deviceFindings(topology, scope),
  ];
  return { pairCount, counts, findings: findings.sort(byWeight) };
}

/** Pairs whose verdict another kernel changes. */
export function compareKernels(
  topology: Topology,
  from: KernelRules,
  to: KernelRules,
  options: DiagnoseOptions = {},
): Effect {
  const scope = scopeOf(topology, options.between);
  return effectOf({ topology, rules: from }, { topology, rules: to }, scope);
}
