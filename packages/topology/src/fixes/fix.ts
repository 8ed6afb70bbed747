/**
 * Fix: a change that would help, as text to type and as a change of the model.
 *
 * What a fix promises is computed: the change is applied to a copy of the machine and every pair is judged
 * again (`effect.ts`). Where a change cannot be made on the model (a firmware setting), there is no effect
 * and `isPromised` is false: it is advice.
 */
import type { PathType } from "@peerbuf/core";
import type { AcsChange } from "../rules/remedy.ts";

/**
 * `clear-acs`: redirect bits off; `pass-through`: IOMMU stops translating for host drivers; `correct-parameter`:
 * the command line says what was meant; `iommu-off`: no IOMMU at all; `move`: a card goes into another slot; `kernel`: another kernel or
 * kernel configuration; `firmware`: a setting of the BIOS; `capture`: supply the facts that are missing.
 */
export type FixKind =
  | "clear-acs"
  | "pass-through"
  | "iommu-off"
  | "correct-parameter"
  | "move"
  | "kernel"
  | "firmware"
  | "capture";

/** One way to make the change. The steps of a fix are alternatives, not a sequence. */
export interface FixStep {
  /** `shell`: now, on the running machine. The others: a boot loader's configuration, then reboot. */
  readonly by: "shell" | "grub" | "systemd-boot" | "grubby";
  /** File to edit, or `a root shell`. */
  readonly where: string;
  /** Exact text, one command or line each. */
  readonly lines: readonly string[];
  readonly lasts: "until-reboot" | "permanent";
  /** What to mind with this way. */
  readonly note?: string;
}

/** A device in another slot: the functions keep device and function numbers, the bus is the new slot's. */
export interface Move {
  /** BDFs of all functions that move, before and after. */
  readonly functions: readonly { readonly from: string; readonly to: string }[];
  /** The bridge port of the new slot. */
  readonly port: string;
}

/** A verdict that the change turns into another one. */
export interface PairChange {
  readonly provider: string;
  readonly client: string;
  readonly before: PathType;
  readonly after: PathType;
}

/** What the change does to the pairs asked about, computed by judging the changed machine. */
export interface Effect {
  /** At most `PAIRS_LISTED_MAX`; `changedCount` counts all. */
  readonly changes: readonly PairChange[];
  readonly changedCount: number;
  readonly improvedCount: number;
  readonly worsenedCount: number;
  /** Ordered pairs by verdict. */
  readonly before: Readonly<Record<PathType, number>>;
  readonly after: Readonly<Record<PathType, number>>;
}

/** IOMMU groups that become one: their functions are no longer isolated from each other. */
export interface MergedGroup {
  /** BDFs in the group after the change. */
  readonly members: readonly string[];
  /** The groups before, as lists of BDFs. */
  readonly from: readonly (readonly string[])[];
}

export interface FixCost {
  /** What is given up, in a sentence or two. */
  readonly text: string;
  /** Groups as the kernel would make them; undefined where the capture lacks what they follow from. */
  readonly mergedGroups?: readonly MergedGroup[];
}

export interface Fix {
  readonly kind: FixKind;
  /** What to do, in one sentence. */
  readonly text: string;
  /** Ways to do it; empty when it is nothing to type. */
  readonly steps: readonly FixStep[];
  readonly acsChanges: readonly AcsChange[];
  readonly moves: readonly Move[];
  /** Left out where the change cannot be made on the model. */
  readonly effect?: Effect;
  readonly cost: FixCost;
  /** True: the rules promise `effect`. False: advice, nobody can say from here whether it helps. */
  readonly isPromised: boolean;
}
