/**
 * Advice: fixes that nobody can promise from here, and facts to supply.
 *
 * A firmware setting has another name on every board and may not exist; another kernel is judged by
 * rules that are known, so its effect is computed.
 */
import type { PairScope } from "../diagnosis/pair-scope.ts";
import { type FactName, type MissingFact, missingFacts } from "../missing-fact.ts";
import type { HangFact } from "../rules/hangs-on.ts";
import {
  isNewer,
  KERNEL_VERSIONS,
  type KernelRules,
  rulesForKernel,
} from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import { effectOf } from "./effect.ts";
import type { Fix } from "./fix.ts";

const nothing = { steps: [], acsChanges: [], moves: [] } as const;

export const firmwareSetting = (text: string): Fix => ({
  ...nothing,
  kind: "firmware",
  text,
  cost: { text: "One visit to the firmware setup; its names differ from board to board." },
  isPromised: false,
});

/** Two devices below one switch, where the model has no free slot to show it with; undefined where one of them is in no slot. */
export function putBelowOneSwitch(topology: Topology, one: number, other: number): Fix | undefined {
  // What sits on a root bus is a part of the processor or the board, and in no slot.
  if (topology.upstreamOf(one) < 0 || topology.upstreamOf(other) < 0) {
    return undefined;
  }
  const cost =
    topology.facts.isVirtualMachine === true
      ? "The hypervisor decides where a guest sees its devices; what the traffic does is up to the host's slots."
      : "The machine is opened; it may have no such slot.";
  return {
    ...nothing,
    kind: "move",
    text: `Put ${topology.bdfOf(one)} and ${topology.bdfOf(other)} below one PCIe switch whose ports do not redirect: their traffic turns round there.`,
    cost: { text: cost },
    isPromised: false,
  };
}

/** The oldest known later kernel whose rules improve a pair; undefined when none does. */
export function newerKernel(
  topology: Topology,
  rules: KernelRules,
  scope: PairScope,
): Fix | undefined {
  const later = KERNEL_VERSIONS.filter((version) => isNewer(version, rules.version));
  for (const version of later) {
    const after = rulesForKernel(version);
    const effect = effectOf({ topology, rules }, { topology, rules: after }, scope);
    if (
      effect.changes.some((change) => change.after === "bus-addr" || change.after === "host-bridge")
    ) {
      return {
        ...nothing,
        kind: "kernel",
        text: `Boot Linux ${version} or later: its table of host bridges has rows that ${rules.name} lacks.`,
        effect,
        cost: { text: "Another kernel, with all that comes with it." },
        isPromised: true,
      };
    }
  }
  return undefined;
}

/** What to capture so that facts are no longer missing; undefined for facts about the kernel. */
export function captureFacts(facts: Iterable<HangFact>): Fix | undefined {
  const names = [...new Set(facts)].filter(
    (fact): fact is Extract<HangFact, FactName> => fact !== "kernel-table",
  );
  return names.length === 0 ? undefined : captureCommands(missingFacts(...names));
}

export const captureCommands = (missing: readonly MissingFact[]): Fix => ({
  ...nothing,
  kind: "capture",
  text: `Supply what is missing: ${missing.map(({ fact }) => fact).join(", ")}.`,
  steps: [
    {
      by: "shell",
      where: "a shell",
      lines: [...new Set(missing.map(({ command }) => command))],
      lasts: "permanent",
    },
  ],
  cost: { text: "Nothing changes on the machine." },
  isPromised: false,
});

/** P2PDMA compiled in. */
export const kernelWithP2pdma: Fix = {
  ...nothing,
  kind: "kernel",
  text: "Boot a kernel with CONFIG_PCI_P2PDMA=y (it needs CONFIG_ZONE_DEVICE).",
  cost: { text: "Another kernel, with all that comes with it." },
  isPromised: false,
};
