/**
 * Decision record: what an attachment's parties said, in order.
 *
 * The attach stage is kept whole. Of the pin and map stages the latest negotiations are kept: an
 * attachment may be mapped a million times, and its memory must not grow with that.
 */
import type { Decision } from "../decision.ts";

/** How many pin and map decisions are kept at least. */
export const RECORD_KEPT = 256;

export class DecisionRecord implements Iterable<Decision> {
  readonly #attach: Decision[] = [];
  #later: Decision[] = [];
  #forgotten = 0;

  /** All decisions still kept, oldest first. */
  get decisions(): readonly Decision[] {
    return [...this.#attach, ...this.#later];
  }

  /** How many pin and map decisions are no longer kept. */
  get forgotten(): number {
    return this.#forgotten;
  }

  [Symbol.iterator](): Iterator<Decision> {
    return this.decisions[Symbol.iterator]();
  }

  add(decision: Decision): void {
    if (decision.stage === "attach") {
      this.#attach.push(decision);
      return;
    }
    if (this.#later.length >= 2 * RECORD_KEPT) {
      this.#later = this.#later.slice(RECORD_KEPT);
      this.#forgotten += RECORD_KEPT;
    }
    this.#later.push(decision);
  }
}
