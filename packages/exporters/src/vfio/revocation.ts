/**
 * Revocation: takes a function's memory away from everyone, and gives it back where that is possible.
 *
 * The order is the promise: first every buffer is revoked and every mapping gone, only then is the
 * function touched. What touches it is configuration space, which belongs to the caller and not to a
 * driver; so it comes in as `VfioFunction`.
 */
import { type BufferControl, PeerbufError, type Reason, reason } from "@peerbuf/core";

/** What the caller does in configuration space, while nobody reaches the memory. */
export interface VfioFunction {
  /** A function level reset. */
  reset(): void | Promise<void>;
  /** Sets or clears the memory space bit of the command register. */
  setMemoryEnabled(isEnabled: boolean): void;
}

/** As long as vfio-pci waits for importers before it warns (7.1). */
const TIMEOUT_NS = 1_000_000_000;

export class Revocation {
  readonly #deviceId: string;
  readonly #handed: VfioFunction;
  readonly #buffers = new Set<BufferControl>();
  /** Why nothing can be reached now. */
  #away: Reason | undefined;
  #isBusy = false;

  constructor(deviceId: string, handed: VfioFunction) {
    this.#deviceId = deviceId;
    this.#handed = handed;
  }

  /** Returns what forgets the buffer again. `DEVICE_GONE` while the memory is away. */
  add(control: BufferControl): () => void {
    if (this.#away !== undefined) {
      throw new PeerbufError("DEVICE_GONE", `${this.#deviceId}: ${this.#away.text}`);
    }
    this.#buffers.add(control);
    return () => void this.#buffers.delete(control);
  }

  /** A function whose memory was disabled before stays disabled. */
  reset(): Promise<void> {
    return this.#alone(async () => {
      const isDisabled = this.#away === DISABLED;
      await this.#takeAway(isDisabled ? DISABLED : RESET);
      await this.#handed.reset();
      if (!isDisabled) {
        this.#giveBack();
      }
    });
  }

  disableMemory(): Promise<void> {
    return this.#alone(async () => {
      await this.#takeAway(DISABLED);
      this.#handed.setMemoryEnabled(false);
    });
  }

  enableMemory(): void {
    this.#requireFree();
    this.#handed.setMemoryEnabled(true);
    this.#giveBack();
  }

  closeDevice(): Promise<void> {
    return this.#alone(() => this.#takeAway(CLOSED));
  }

  /** Tells all before it waits for any. A buffer that is revoked already is told again: its reason may be new. */
  async #takeAway(why: Reason): Promise<void> {
    this.#away = why;
    const options = { timeoutNs: TIMEOUT_NS, waiter: `vfio ${this.#deviceId}` };
    const ends = [...this.#buffers].map((control) => {
      control.restore();
      return control.revoke(why, options);
    });
    const failed = (await Promise.allSettled(ends)).find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") {
      throw failed.reason;
    }
  }

  #giveBack(): void {
    this.#away = undefined;
    for (const control of this.#buffers) {
      control.restore();
    }
  }

  async #alone(step: () => Promise<void>): Promise<void> {
    this.#requireFree();
    this.#isBusy = true;
    try {
      await step();
    } finally {
      this.#isBusy = false;
    }
  }

  #requireFree(): void {
    if (this.#away === CLOSED) {
      throw new PeerbufError("DEVICE_GONE", `${this.#deviceId}: ${CLOSED.text}`);
    }
    if (this.#isBusy) {
      const message = `${this.#deviceId}: its memory is being taken away already`;
      throw new PeerbufError("WRONG_ORDER", message);
    }
  }
}

const RESET = reason("FUNCTION_RESET", "the function is being reset");
const DISABLED = reason("MEMORY_DISABLED", "the function's memory space is disabled");
const CLOSED = reason("FUNCTION_CLOSED", "user space has closed the function");
