/**
 * Troubles: what was done to the machines while a transfer ran, and who threw where nobody could be told.
 *
 * Injected faults, device models and drivers' handlers that threw, bus errors that functions logged.
 */
import type { Failure, InjectedFault } from "@peerbuf/machine";
import { joinPlace } from "../scenario/place-name.ts";
import type { Rig } from "./rig.ts";

/** Entries of each kind that are kept; the machines count all. */
const KEPT_MAX = 64;

/** An injected fault, with the machine it was injected into. */
export type InjectedIn = InjectedFault & { readonly place: string };

export interface FailureIn {
  /** The device's place; empty where it is not known. */
  readonly place: string;
  readonly who: string;
  readonly message: string;
}

export class Troubles implements Disposable {
  readonly injected: InjectedIn[] = [];
  readonly #failures: FailureIn[] = [];
  readonly #rig: Rig;
  readonly #subscriptions: { unsubscribe(): void }[];

  constructor(rig: Rig) {
    this.#rig = rig;
    rig.thrown.length = 0;
    this.#subscriptions = rig.sites.flatMap(({ name, faults, machine }) => [
      faults.events.subscribe((fault) => this.#addInjected(name, fault)),
      machine.failures.stream.subscribe((failure) => this.#addFailure(name, failure)),
    ]);
  }

  /** Those of devices, then events of drivers whose device is not known. */
  get failures(): readonly FailureIn[] {
    const thrown = this.#rig.thrown.map((error) => ({
      place: "",
      who: "an event of a driver",
      message: `an event of a driver threw ${error instanceof Error ? error.message : error}`,
    }));
    return [...this.#failures, ...thrown];
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) {
      subscription.unsubscribe();
    }
  }

  #addInjected(machine: string, fault: InjectedFault): void {
    if (this.injected.length < KEPT_MAX) {
      this.injected.push({ ...fault, place: joinPlace(machine, fault.device) });
    }
  }

  #addFailure(machine: string, { device, who, error }: Failure): void {
    if (this.#failures.length < KEPT_MAX) {
      this.#failures.push({ place: joinPlace(machine, device), who, message: error.message });
    }
  }
}
