/**
 * Decisions: every answer of a negotiation, kept in the order in which it was given.
 *
 * Nothing silent: whoever narrows, declines, redirects or substitutes leaves a decision with a
 * reason code, the numbers involved and what was still possible afterwards.
 */

export type Party = "importer" | "topology" | "exporter" | "framework" | "dma";

/** `move` and `revoke` are the exporter's, while others are attached; `unmap` ends a mapping that copied. */
export type Stage = "attach" | "pin" | "map" | "unmap" | "move" | "revoke";

/**
 * - `offer`: an importer's list; `accept`: yes, as asked; `narrow`: yes, but not with all types;
 * - `decline`: no; `redirect`: yes, but in other memory than asked; `substitute`: the importer brings its own memory;
 * - `bus-addr`, `host-bridge`, `unsupported`, `unknown`: topology's word on the path.
 */
export type Verdict =
  | "offer"
  | "accept"
  | "narrow"
  | "decline"
  | "redirect"
  | "substitute"
  | "bus-addr"
  | "host-bridge"
  | "unsupported"
  | "unknown";

/** Why, for machines (`code`) and for people (`text`), with the numbers involved. */
export interface Reason {
  /** UPPER_SNAKE, stable: drivers add their own. */
  readonly code: string;
  /** One sentence that names who and what. */
  readonly text: string;
  readonly numbers?: Readonly<Record<string, number>>;
}

export interface Decision {
  readonly party: Party;
  /** Who exactly: driver and device, or the rules' name. */
  readonly by: string;
  readonly stage: Stage;
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** Names of the mapping types that were still possible after this answer. */
  readonly left: readonly string[];
  /** 0 at attach; counts from 1 within one pin or map. */
  readonly round: number;
}

/** A driver's "no", at any stage. */
export interface Decline {
  readonly answer: "decline";
  readonly reason: Reason;
}

export function decline(code: string, text: string, numbers?: Reason["numbers"]): Decline {
  return { answer: "decline", reason: reason(code, text, numbers) };
}

export function reason(code: string, text: string, numbers?: Reason["numbers"]): Reason {
  return numbers === undefined ? { code, text } : { code, text, numbers };
}

/** One line for people: `exporter gpu@0000:13:00.0 at attach: narrow: ... [VRAM_NOT_VISIBLE]`. */
export function describeDecision(decision: Decision): string {
  const { party, by, stage, verdict } = decision;
  const who = by === party ? party : `${party} ${by}`;
  return `${who} at ${stage}: ${verdict}: ${decision.reason.text} [${decision.reason.code}]`;
}
