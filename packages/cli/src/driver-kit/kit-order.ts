/**
 * Kit order: what this command asks of the process that runs somebody's driver, and what that answers.
 *
 * Plain data: it crosses the border between two processes. A driver that hangs, eats all memory or ends
 * the process takes only that process with it.
 */
import type { InputProblem } from "@peerbuf/core";

export interface KitOrder {
  /** Absolute. */
  readonly path: string;
  /** As the person wrote it, for messages. */
  readonly source: string;
  readonly exportName: string;
  /** `check`: contract and a short exploration. `explore`: the exploration alone. `help`: shares of somebody else's. */
  readonly task: "check" | "explore" | "help";
  /** Over all scenarios together. */
  readonly schedules: number;
  readonly seed: number;
  readonly strategy: string;
  /** Threads that explore; 1: the process itself does. */
  readonly workers: number;
  /** Heap of a thread. */
  readonly heapMiB: number;
  /** Address of the Redis through which the exploration is shared. */
  readonly queue: string | undefined;
  /** One failing run again. */
  readonly replay: string | undefined;
  /** Only scenarios whose name contains this. */
  readonly scenario: string | undefined;
}

/** What the process hears: first an order, later perhaps that it is enough. */
export type KitRequest =
  | { readonly kind: "order"; readonly order: KitOrder }
  /** It answers with what it has found so far. */
  | { readonly kind: "stop" };

/** How far it has come: what a hanging driver is blamed for. In `wait` there is nothing to do. */
export type KitStage = "load" | "open" | "contract" | "explore" | "wait";

export interface FoundViolation {
  readonly rule: string;
  /** The rule, and where it is written. */
  readonly ruleText: string;
  readonly source: string;
  readonly subject: string;
  readonly text: string;
  /** The check or the scenario in which it was found. */
  readonly in: string;
  readonly by: "contract" | "explorer";
  /** Who ran; empty where nobody said. */
  readonly actor: string;
  readonly step: number;
  /** Of an explored run: replays it. */
  readonly token?: string;
  /** Of an explored run: what happened, a line a step. */
  readonly story?: readonly string[];
}

export interface CheckLine {
  readonly name: string;
  readonly rules: readonly string[];
  readonly outcome: "held" | "broken" | "not claimed";
}

export interface ExploredLine {
  readonly scenario: string;
  readonly schedules: number;
  /** Over all runs: equal wherever the same runs were done. */
  readonly hash: string;
  /** Every schedule there is was tried. */
  readonly isComplete: boolean;
  readonly isBroken: boolean;
  /** Why it could not even begin. */
  readonly notRun?: string;
}

/** Two steps of the protocol in a row on one buffer, and how often. */
export interface SeenPair {
  readonly before: string;
  readonly now: string;
  readonly count: number;
}

export interface KitReport {
  readonly driver: { readonly name: string; readonly role: "exporter" | "importer" };
  readonly checks: readonly CheckLine[];
  readonly explored: readonly ExploredLine[];
  /** Steps of the protocol that were seen, and those that were not. */
  readonly transitions: readonly string[];
  readonly neverSeen: readonly string[];
  readonly pairs: readonly SeenPair[];
  readonly violations: readonly FoundViolation[];
}

/** What was done for others. */
export interface HelpReport {
  readonly shares: number;
  readonly schedules: number;
}

export type KitMessage =
  | { readonly kind: "stage"; readonly stage: KitStage; readonly total: number }
  /** So many checks or schedules are behind us; `what` is under way now. */
  | { readonly kind: "progress"; readonly done: number; readonly what: string }
  /** What has been found so far, in case that there is no more. */
  | { readonly kind: "part"; readonly report: KitReport }
  /** No driver, and why: the person's to mend. */
  | { readonly kind: "problem"; readonly problem: InputProblem }
  | { readonly kind: "report"; readonly report: KitReport }
  | { readonly kind: "helped"; readonly report: HelpReport }
  /** The driver ended whoever ran it: why, as the end of a sentence. */
  | { readonly kind: "broken"; readonly why: string }
  /** A failure of ours. */
  | { readonly kind: "bug"; readonly stack: string };
