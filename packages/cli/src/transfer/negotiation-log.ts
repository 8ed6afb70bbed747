/**
 * Negotiation log: who decided what while a transfer ran, and where the bytes were in the end.
 *
 * Listens to the frameworks' events, so it hears of negotiations that ended without a mapping too.
 */
import type { Decision } from "@peerbuf/core";
import { joinPlace, splitPlace } from "../scenario/place-name.ts";
import type { Site } from "./site.ts";

/** A decision and the negotiation it belongs to. */
export interface LoggedDecision {
  /** Of the scenario; "" where there is only one. */
  readonly machine: string;
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
  readonly #subscriptions: readonly { unsubscribe(): void }[];

  constructor(sites: readonly Site[]) {
    this.#subscriptions = sites.map((site) => this.#listenTo(site));
  }

  /** The last mapping of a buffer for a driver on a device, by the device's place. */
  mapped(driver: string, place: string, buffer: string): MappedAt | undefined {
    const { machine, local } = splitPlace(place);
    return this.#mapped.get(keyOf(machine, `${driver}@${local}`, buffer));
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) {
      subscription.unsubscribe();
    }
  }

  #listenTo({ name: machine, framework, traced }: Site): { unsubscribe(): void } {
    return framework.events.subscribe((event) => {
      if (event.kind === "decision") {
        const { buffer, importer, decision } = event;
        this.decisions.push({ machine, buffer, importer, decision });
      } else if (event.kind === "mapped") {
        traced.name(event.importer, event.buffer);
        this.#mapped.set(keyOf(machine, event.importer, event.buffer), event);
      }
    });
  }
}

const keyOf = (machine: string, importer: string, buffer: string): string =>
  joinPlace(machine, `${importer} ${buffer}`);
