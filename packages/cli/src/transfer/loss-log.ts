/**
 * Loss log: which requests reached nothing while a transfer ran, why and where.
 *
 * Listens to the machines' instruments. Requests that fared alike are one entry, so a transfer that lost
 * everything is told in a few lines.
 */
import type { Fault } from "@peerbuf/machine";
import { joinPlace } from "../scenario/place-name.ts";
import type { Site } from "./site.ts";

/** Entries kept; bytes of more kinds are in the total alone. */
const ENTRIES_MAX = 64;

export interface Loss {
  /** A function's place, or `cpu`. */
  readonly requester: string;
  readonly kind: "read" | "write";
  readonly reason: string;
  /** A function's place, `root complex`, `iommu` or `guard`. */
  readonly at: string;
  /** `driver@device on "buffer"`; left out where the address is in no mapping of a buffer. */
  readonly mapping?: string;
  /** Of the first such request: as the requester put it on the bus. */
  readonly firstAddress: number;
  readonly count: number;
  readonly bytes: number;
}

export class LossLog implements Disposable {
  readonly #entries = new Map<string, Loss>();
  readonly #subscriptions: readonly { unsubscribe(): void }[];

  constructor(sites: readonly Site[]) {
    this.#subscriptions = sites.map((site) =>
      site.machine.inspect.faults.subscribe((fault) => this.#add(site, fault)),
    );
  }

  get losses(): readonly Loss[] {
    return [...this.#entries.values()];
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) {
      subscription.unsubscribe();
    }
  }

  #add({ name, traced }: Site, fault: Fault): void {
    const { kind, reason, address, lengthBytes } = fault;
    const requester = joinPlace(name, fault.requester);
    const at = joinPlace(name, fault.at);
    const mapping = traced.mappingAt(fault.requester, address);
    const key = [requester, kind, reason, at, mapping].join(" ");
    const before = this.#entries.get(key);
    if (before === undefined && this.#entries.size >= ENTRIES_MAX) {
      return;
    }
    this.#entries.set(key, {
      requester,
      kind,
      reason,
      at,
      ...(mapping !== undefined && { mapping }),
      firstAddress: before?.firstAddress ?? address,
      count: (before?.count ?? 0) + 1,
      bytes: (before?.bytes ?? 0) + lengthBytes,
    });
  }
}
