/**
 * Fault log: the last requests that reached nothing, for people and tests.
 *
 * Holds a stated number of them; counting is elsewhere (`traffic.ts`), so nothing is missed when old
 * ones are dropped. Whoever watches is told of each as it happens.
 */
import type { Observable } from "rxjs";
import { Subject } from "rxjs/internal/Subject";
import type { AccessKind } from "./root-complex.ts";
import type { LossReason } from "./route.ts";

/** Faults kept. */
export const FAULTS_KEPT_MAX = 256;

export interface Fault {
  /** BDF of the function, or `cpu`. */
  readonly requester: string;
  /** As the requester put it on the bus (an IOVA where an IOMMU translates); a physical address from the processors. */
  readonly address: number;
  readonly lengthBytes: number;
  readonly kind: AccessKind;
  readonly reason: LossReason;
  /** Where: a BDF, `root complex`, `iommu` or `guard`. */
  readonly at: string;
  /** Virtual time, ns. */
  readonly timeNs: number;
}

export class FaultLog {
  readonly #kept: Fault[] = [];
  readonly #subject = new Subject<Fault>();
  /** Every fault from now on. */
  readonly faults: Observable<Fault> = this.#subject.asObservable();
  #count = 0;

  /** Faults since the start, kept or not. */
  get count(): number {
    return this.#count;
  }

  /** The last ones, oldest first. */
  recent(): readonly Fault[] {
    return [...this.#kept];
  }

  add(fault: Fault): void {
    this.#count++;
    this.#kept.push(fault);
    if (this.#kept.length > FAULTS_KEPT_MAX) {
      this.#kept.shift();
    }
    if (this.#subject.observed) {
      this.#subject.next(fault);
    }
  }
}
