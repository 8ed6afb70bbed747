/**
 * Memory region: memory that an RDMA device may reach, and the keys by which it is named.
 */
import { PeerbufError } from "@peerbuf/core";

interface RegionFacts {
  readonly handle: number;
  readonly localKey: number;
  readonly remoteKey: number;
  readonly sizeBytes: number;
  readonly way: "dma-buf" | "memory";
}

export class MemoryRegion implements Disposable {
  /** The kernel's number of it on this device. */
  readonly handle: number;
  /** lkey: for work requests of this side. */
  readonly localKey: number;
  /** rkey: to be told to the other side. */
  readonly remoteKey: number;
  readonly sizeBytes: number;
  /** How it was registered: as a dma-buf by the kernel, or as ordinary memory that is pinned. */
  readonly way: "dma-buf" | "memory";
  readonly #giveBack: () => void;
  #isOpen = true;

  constructor(facts: RegionFacts, giveBack: () => void) {
    ({
      handle: this.handle,
      localKey: this.localKey,
      remoteKey: this.remoteKey,
      sizeBytes: this.sizeBytes,
      way: this.way,
    } = facts);
    this.#giveBack = giveBack;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The device cannot reach the memory any more. `HANDLE_CLOSED` the second time. */
  close(): void {
    if (!this.#isOpen) {
      throw new PeerbufError("HANDLE_CLOSED", `region ${this.handle} was given back`);
    }
    this.#isOpen = false;
    this.#giveBack();
  }

  /** Gives back unless `close` did. */
  [Symbol.dispose](): void {
    if (this.#isOpen) {
      this.close();
    }
  }
}
