/**
 * RDMA completion queue: where the NIC reports commands and work requests alike.
 */
import type { DevicePort } from "../../device-model.ts";
import { RDMA_COMPLETION_BYTES } from "./entries.ts";

/** The NIC's only interrupt vector. */
export const RDMA_VECTOR = 0;

export interface RdmaCompletion {
  readonly tag: number;
  readonly status: number;
  /** 0: a command. */
  readonly queuePair: number;
  readonly result: number;
}

export class RdmaCompletionQueue {
  readonly #address: number;
  readonly #entries: number;
  readonly #bytes = new Uint8Array(RDMA_COMPLETION_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #tail = 0;
  #phase = 1;
  /** The host's end, by doorbell. */
  head = 0;

  constructor(address: number, entries: number) {
    this.#address = address;
    this.#entries = entries;
  }

  get entries(): number {
    return this.#entries;
  }

  /** `false`: overrun, the host did not keep up (fatal, as in verbs). */
  post(port: DevicePort, completion: RdmaCompletion): boolean {
    if ((this.#tail + 1) % this.#entries === this.head) {
      return false;
    }
    this.#view.setUint32(0, completion.tag, true);
    this.#view.setUint32(4, completion.status, true);
    this.#view.setUint32(8, completion.queuePair, true);
    this.#view.setUint32(12, completion.result, true);
    this.#view.setUint32(28, this.#phase, true);
    port.write(
      this.#address + this.#tail * RDMA_COMPLETION_BYTES,
      this.#bytes,
      0,
      RDMA_COMPLETION_BYTES,
    );
    this.#tail = (this.#tail + 1) % this.#entries;
    if (this.#tail === 0) {
      this.#phase ^= 1;
    }
    port.interrupt(RDMA_VECTOR);
    return true;
  }
}
