/**
 * Propose fixes: what could be changed for one pair, best first.
 *
 * Only where the kernel's verdict, or the way the bytes take, can get better. No fix forces the kernel past a
 * root complex that it does not trust: that loses data in silence.
 */

import { isSmall, memoryReachOf } from "../diagnosis/memory-reach.ts";
import { type PairScope, scopeOf, withPair } from "../diagnosis/pair-scope.ts";
import { translationOf } from "../diagnosis/translation.ts";
import { judgePair, type PairVerdict, redirectAnswer, walkPair } from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import { captureFacts, newerKernel, putBelowOneSwitch } from "./advice.ts";
import { clearAcs } from "./clear-acs.ts";
import type { Fix } from "./fix.ts";
import { moveTogether } from "./move-card.ts";
import { passThrough } from "./pass-through.ts";
import { widenBar } from "./widen-bar.ts";

/** @param between rows whose pairs the effects are counted over, besides these two */
export function proposeFixes(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  between?: Iterable<number>,
): Fix[] {
  const scope = withPair(scopeOf(topology, between), provider, client);
  const verdict = judgePair(topology, rules, provider, client);
  const fixes = [
    ...missing(verdict),
    ...clearing(topology, rules, provider, client, scope),
    ...otherKernel(
      topology,
      rules,
      verdict,
      { rows: Int32Array.of(provider, client), providers: Int32Array.of(provider) },
      scope,
    ),
    ...moving(topology, rules, provider, client, verdict, scope),
    ...passing(topology, client, verdict),
    ...widening(topology, provider),
  ];
  return fixes;
}

function missing({ type, hangsOn }: PairVerdict): Fix[] {
  const fix = type === "unknown" ? captureFacts(hangsOn.map(({ fact }) => fact)) : undefined;
  return fix === undefined ? [] : [fix];
}

function clearing(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  scope: PairScope,
): Fix[] {
  const rows = redirectingRows(topology, rules, provider, client);
  return rows.length === 0 ? [] : [clearAcs(topology, rules, rows, scope)];
}

/** Rows whose redirect bits stand between a pair and its common bridge. */
export function redirectingRows(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
): number[] {
  const { common, providerSide, clientSide } = walkPair(topology, provider, client);
  return common < 0
    ? []
    : [...providerSide, ...clientSide].filter(
        (row) => redirectAnswer(topology, rules, row) === "yes",
      );
}

function otherKernel(
  topology: Topology,
  rules: KernelRules,
  { type }: PairVerdict,
  pair: PairScope,
  scope: PairScope,
): Fix[] {
  const helps = type === "unsupported" && newerKernel(topology, rules, pair) !== undefined;
  const fix = helps ? newerKernel(topology, rules, scope) : undefined;
  return fix === undefined ? [] : [fix];
}

function moving(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  { type }: PairVerdict,
  scope: PairScope,
): Fix[] {
  const isApart = walkPair(topology, provider, client).common < 0;
  if (!isApart || type === "bus-addr" || topology.facts.tree !== "whole") {
    return [];
  }
  const move = moveTogether(topology, rules, provider, client, scope);
  const fix = move ?? putBelowOneSwitch(topology, provider, client);
  return fix === undefined ? [] : [fix];
}

function passing(topology: Topology, client: number, { type }: PairVerdict): Fix[] {
  const isTranslated = translationOf(topology, client).isTranslated === "yes";
  return type === "host-bridge" && isTranslated ? [passThrough(topology)] : [];
}

function widening(topology: Topology, provider: number): Fix[] {
  const reach = memoryReachOf(topology, provider);
  return reach !== undefined && isSmall(topology, provider, reach)
    ? [widenBar(topology, provider, reach)]
    : [];
}
