/**
 * Failure log: device models and drivers that threw where nobody above them could be told.
 *
 * An event, an interrupt handler, a register access: what throws there would take down whoever happens to run
 * the clock. Here it is written down with a name to it, and the run goes on.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Observable } from "rxjs";
import { Subject } from "rxjs/internal/Subject";

/** Failures kept. */
export const FAILURES_KEPT_MAX = 256;

export interface Failure {
  /** BDF of the function, or `none` for work of a driver whose device is not known. */
  readonly device: string;
  /** Who threw, and where: `model nvme, write of register 0x1000`. */
  readonly who: string;
  /** Virtual time, ns. */
  readonly timeNs: number;
  /** `DEVICE_FAILED` for a model, `DRIVER_BROKEN` for a driver; what was thrown is its cause. */
  readonly error: PeerbufError;
}

export class FailureLog {
  readonly #kept: Failure[] = [];
  readonly #subject = new Subject<Failure>();
  /** Every failure from now on. */
  readonly stream: Observable<Failure> = this.#subject.asObservable();
  readonly #nowNs: () => number;
  #count = 0;

  constructor(nowNs: () => number) {
    this.#nowNs = nowNs;
  }

  /** Failures since the start, kept or not. */
  get count(): number {
    return this.#count;
  }

  /** The last `FAILURES_KEPT_MAX`, oldest first. */
  recent(): readonly Failure[] {
    return [...this.#kept];
  }

  /** Writes down what a model threw. */
  model(device: string, who: string, thrown: unknown): void {
    this.#add("DEVICE_FAILED", device, who, thrown);
  }

  /** Writes down what a driver's handler threw. */
  driver(device: string, who: string, thrown: unknown): void {
    this.#add("DRIVER_BROKEN", device, who, thrown);
  }

  #add(
    code: "DEVICE_FAILED" | "DRIVER_BROKEN",
    device: string,
    who: string,
    thrown: unknown,
  ): void {
    const what = thrown instanceof Error ? thrown.message : String(thrown);
    const error = new PeerbufError(code, `${device}, ${who}: threw ${what}`, { cause: thrown });
    const failure: Failure = { device, who, timeNs: this.#nowNs(), error };
    this.#count++;
    this.#kept.push(failure);
    if (this.#kept.length > FAILURES_KEPT_MAX) {
      this.#kept.shift();
    }
    this.#subject.next(failure);
  }
}
