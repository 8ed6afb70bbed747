/**
 * RDMA report queue: where the NIC writes what the host has to know.
 *
 * There are two: one for completions (of commands and work requests alike), one for events. `entries`
 * says what the words of a report mean.
 */
import type { DevicePort } from "../../device-model.ts";
import { RDMA_REPORT_BYTES } from "./entries.ts";

/** The NIC's only interrupt vector. */
export const RDMA_VECTOR = 0;

const PHASE_AT = 28;

/** Its first four words, 32 bits each. */
export type RdmaReport = readonly [number, number, number, number];

export class RdmaReportQueue {
  readonly #address: number;
  readonly #entries: number;
  readonly #bytes = new Uint8Array(RDMA_REPORT_BYTES);
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
  post(port: DevicePort, report: RdmaReport): boolean {
    if ((this.#tail + 1) % this.#entries === this.head) {
      return false;
    }
    for (let index = 0; index < report.length; index++) {
      this.#view.setUint32(4 * index, report[index] as number, true);
    }
    this.#view.setUint32(PHASE_AT, this.#phase, true);
    port.write(this.#address + this.#tail * RDMA_REPORT_BYTES, this.#bytes, 0, RDMA_REPORT_BYTES);
    this.#tail = (this.#tail + 1) % this.#entries;
    if (this.#tail === 0) {
      this.#phase ^= 1;
    }
    port.interrupt(RDMA_VECTOR);
    return true;
  }
}
