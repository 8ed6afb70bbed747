/**
 * Injected fault: what was done to whom, and the log of it.
 *
 * Holds a stated number; counts all. Nothing that a fault does goes unrecorded.
 */
import type { Observable } from "rxjs";
import { Subject } from "rxjs/internal/Subject";
import type { FaultKind, OccasionKind } from "./fault-rule.ts";

/** Injected faults kept. */
export const INJECTED_KEPT_MAX = 1_024;

export interface InjectedFault {
  /** From 1, in order. */
  readonly number: number;
  readonly fault: FaultKind;
  /** The rule's name. */
  readonly rule: string;
  /** Virtual time. */
  readonly timeNs: number;
  /** BDF of the function, or the id of the driver's device; `cpu` for a driver without one. */
  readonly device: string;
  readonly kind: OccasionKind;
  /** Of a request: the bus address and its length. */
  readonly address?: number;
  readonly lengthBytes?: number;
  /** What was done, for people. */
  readonly text: string;
}

export class InjectedFaults {
  readonly #kept: InjectedFault[] = [];
  readonly #subject = new Subject<InjectedFault>();
  /** Every one from now on. */
  readonly stream: Observable<InjectedFault> = this.#subject.asObservable();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The last `INJECTED_KEPT_MAX`, oldest first. */
  recent(): readonly InjectedFault[] {
    return [...this.#kept];
  }

  add(fault: Omit<InjectedFault, "number">): void {
    const numbered = { number: ++this.#count, ...fault };
    this.#kept.push(numbered);
    if (this.#kept.length > INJECTED_KEPT_MAX) {
      this.#kept.shift();
    }
    this.#subject.next(numbered);
  }
}
