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
  /** `check`: contract and a short exploration. `explore`: the exploration alone. */
  readonly task: "check" | "explore";
  /** Over all scenarios together. */
  readonly schedules: number;
  readonly seed: number;
  readonly strategy: string;
  /** One failing run again. */
  readonly replay: string | undefined;
  /** Only scenarios whose name contains this. */
  readonly scenario: string | undefined;
}

/** How far it has come: what a hanging driver is blamed for. */
export type KitStage = "load" | "open" | "contract" | "explore";

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
  /** Every schedule there is was tried. */
  readonly isComplete: boolean;
  readonly isBroken: boolean;
}

export interface KitReport {
  readonly driver: { readonly name: string; readonly role: "exporter" | "importer" };
  readonly checks: readonly CheckLine[];
  readonly explored: readonly ExploredLine[];
  readonly transitions: readonly string[];
  readonly violations: readonly FoundViolation[];
}

export type KitMessage =
  | { readonly kind: "stage"; readonly stage: KitStage; readonly total: number }
  /** So many checks or schedules are behind us; `what` is under way now. */
  | { readonly kind: "progress"; readonly done: number; readonly what: string }
  /** No driver, and why: the person's to mend. */
  | { readonly kind: "problem"; readonly problem: InputProblem }
  | { readonly kind: "report"; readonly report: KitReport }
  /** A failure of ours. */
  | { readonly kind: "bug"; readonly stack: string };
