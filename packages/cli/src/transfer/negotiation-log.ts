/**
 * Negotiation log: who decided what while a transfer ran, and where the bytes were in the end.
 *
 * Listens to the framework's events, so it hears of negotiations that ended without a mapping too.
 */
import type { Decision, Framework } from "@peerbuf/core";

/** A decision and the negotiation it belongs to. */
export interface LoggedDecision {
  readonly buffer: string;
  readonly importer: string;
  readonly decision: Decision;
}

export interface MappedAt {
  readonly target: string;
  readonly route: string;
}

export class NegotiationLog implements Disposable {
  readonly decisions: LoggedDecision[] = [];
  readonly #mapped = new Map<string, MappedAt>();
  readonly #subscription: { unsubscribe(): void };

  constructor({ events }: Framework) {
    this.#subscription = events.subscribe((event) => {
      if (event.kind === "decision") {
        const { buffer, importer, decision } = event;
        this.decisions.push({ buffer, importer, decision });
      } else if (event.kind === "mapped") {
        this.#mapped.set(`${event.importer} ${event.buffer}`, event);
      }
    });
  }

  /** The last mapping of a buffer for an importer, `driver@device`. */
  mapped(importer: string, buffer: string): MappedAt | undefined {
    return this.#mapped.get(`${importer} ${buffer}`);
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }
}
