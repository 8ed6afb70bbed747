/**
 * Protection domain: which regions go with which queue pairs.
 *
 * A key is good for queue pairs of its own domain only, on either side of the wire; the NIC sees to that.
 * Who shares one NIC with strangers registers in a domain of their own.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Nic } from "./nic.ts";
import { BUSY, COMMAND } from "./registers.ts";

export interface RdmaProtectionDomain extends AsyncDisposable {
  readonly number: number;
  /**
   * Gives it back. `WRONG_ORDER` (EBUSY) while regions or queue pairs are in it. A second time does nothing,
   * nor does it on a NIC that is stopped.
   */
  release(): Promise<void>;
}

export async function allocateDomain(nic: Nic): Promise<RdmaProtectionDomain> {
  const opcode = COMMAND.ALLOCATE_DOMAIN;
  return new LiveDomain(nic, await nic.command({ opcode }, "allocating a protection domain"));
}

class LiveDomain implements RdmaProtectionDomain {
  readonly number: number;
  readonly #nic: Nic;
  #isOpen = true;

  constructor(nic: Nic, number: number) {
    this.#nic = nic;
    this.number = number;
  }

  async release(): Promise<void> {
    if (!this.#isOpen || !this.#nic.isRunning) {
      return;
    }
    const opcode = COMMAND.RELEASE_DOMAIN;
    const { status } = await this.#nic.run({ opcode, handle: this.number });
    const what = `releasing protection domain ${this.number}`;
    if (status === BUSY) {
      const text = `${this.#nic.label}: regions or queue pairs are in protection domain ${this.number}`;
      throw new PeerbufError("WRONG_ORDER", text);
    }
    if (status !== 0) {
      throw this.#nic.failure(status, what);
    }
    this.#isOpen = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
