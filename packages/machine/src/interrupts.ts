/**
 * Interrupts: MSI-X vectors of one function and who handles them.
 *
 * A message is delivered as an event of its own at the same virtual time, never inside the device's
 * code that sent it. One that nobody handles when it arrives is counted and dropped, as a masked
 * vector would be. That the message itself crosses the fabric is not modelled.
 */
import { type Clock, type Interrupts, PeerbufError } from "@peerbuf/core";
import type { FailureLog } from "./containment/failure-log.ts";

/** MSI-X has at most this many vectors a function (PCIe base specification 5.0, 7.7.2). */
const VECTORS_MAX = 2048;

export class InterruptLines implements Interrupts {
  readonly #bdf: string;
  readonly #clock: Clock;
  readonly #failures: FailureLog;
  readonly #handlers = new Map<number, () => void>();
  #spurious = 0;

  constructor(bdf: string, clock: Clock, failures: FailureLog) {
    this.#bdf = bdf;
    this.#clock = clock;
    this.#failures = failures;
  }

  get handlerCount(): number {
    return this.#handlers.size;
  }

  /** Interrupts that arrived while nobody handled their vector. */
  get spuriousCount(): number {
    return this.#spurious;
  }

  /** `WRONG_ORDER` when the vector has a handler. `off` may be called more than once. */
  on(vector: number, handler: () => void): { off(): void } {
    this.#check(vector);
    if (this.#handlers.has(vector)) {
      throw new PeerbufError(
        "WRONG_ORDER",
        `vector ${vector} of ${this.#bdf} has a handler already`,
      );
    }
    const line = () => handler();
    this.#handlers.set(vector, line);
    return {
      off: () => {
        if (this.#handlers.get(vector) === line) {
          this.#handlers.delete(vector);
        }
      },
    };
  }

  raise(vector: number): void {
    this.#check(vector);
    this.#clock.schedule(0, () => this.#deliver(vector));
  }

  #deliver(vector: number): void {
    const handler = this.#handlers.get(vector);
    if (handler === undefined) {
      this.#spurious++;
    } else {
      this.#contained(vector, handler);
    }
  }

  /** A handler that throws hurts its own driver: the others' interrupts still come. */
  #contained(vector: number, handler: () => void): void {
    try {
      handler();
    } catch (error) {
      this.#failures.driver(this.#bdf, `handler of interrupt vector ${vector}`, error);
    }
  }

  #check(vector: number): void {
    if (!(Number.isInteger(vector) && vector >= 0 && vector < VECTORS_MAX)) {
      throw new PeerbufError("ARGUMENT_INVALID", `${this.#bdf} has no interrupt vector ${vector}`);
    }
  }
}
