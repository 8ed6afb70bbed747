/**
 * Driver state: how a driver says which part of its own state a call looks at or changes.
 *
 * Only partial-order reduction wants to know. A driver that says nothing counts as one whole, changed by every call to it,
 * every event of its timers, and every end of its device's work. What it does with memory, mappings, fences and its
 * buffers the light world sees by itself.
 */
import { Token } from "typedi";
import type { Touches } from "./touches.ts";

/** A driver of the light world finds it here. */
export const DRIVER_STATE: Token<DriverState> = new Token<DriverState>("driver state");

export interface DriverState {
  /** A part, by a name of the driver's own. With the first one the driver answers for all of its state. */
  part(name: string): StatePart;
}

export interface StatePart {
  /** The call under way looks at it. */
  looks(): void;
  /** The call under way changes it. */
  changes(): void;
}

/** The driver on one device. */
export class OwnedState implements DriverState {
  readonly #touches: Touches;
  /** The id of the device. */
  readonly owner: string;
  /** A driver is there, and may share state with whoever calls back into it. */
  isDriven = false;
  #isTold = false;

  constructor(touches: Touches, owner: string) {
    this.#touches = touches;
    this.owner = owner;
  }

  part(name: string): StatePart {
    this.#isTold = true;
    return new OwnedPart(this.#touches, `${name} of the driver on ${this.owner}`);
  }

  /** The driver is called, or something ends that it waits for. */
  called(): void {
    if (!this.#isTold && this.#touches.isOn) {
      this.#touches.write(this.#touches.subject(`the driver on ${this.owner}`));
    }
  }
}

class OwnedPart implements StatePart {
  readonly #touches: Touches;
  readonly #name: string;

  constructor(touches: Touches, name: string) {
    this.#touches = touches;
    this.#name = name;
  }

  looks(): void {
    if (this.#touches.isOn) {
      this.#touches.read(this.#touches.subject(this.#name));
    }
  }

  changes(): void {
    if (this.#touches.isOn) {
      this.#touches.write(this.#touches.subject(this.#name));
    }
  }
}
