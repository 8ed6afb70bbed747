/**
 * NVMe queues: the rings that host and controller share (NVMe 1.4 section 4.1).
 *
 * The controller keeps the head of a submission queue and the tail and phase of a completion queue;
 * the host tells the other ends through doorbells. One slot always stays empty, so head = tail means
 * empty. Completions that find their queue full wait here until the host rings the head doorbell, and
 * no command is taken from a submission queue meanwhile.
 */
import type { ScheduledEvent } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import { CQ_ENTRY_BYTES, SQ_ENTRY_BYTES } from "./registers.ts";
import type { Status } from "./status.ts";

export class SubmissionQueue {
  readonly id: number;
  readonly address: number;
  readonly entries: number;
  readonly completions: CompletionQueue;
  /** By identifier, what will end the commands on their way; at most as many as there are identifiers. */
  readonly onTheWay: Map<number, ScheduledEvent> = new Map();
  /** The next entry the controller takes. */
  head = 0;
  /** One past the last entry the host has put in. */
  tail = 0;

  constructor(id: number, address: number, entries: number, completions: CompletionQueue) {
    this.id = id;
    this.address = address;
    this.entries = entries;
    this.completions = completions;
  }

  get isEmpty(): boolean {
    return this.head === this.tail;
  }

  /** Fetches the next entry into `target`. `false`: the fetch reached nothing. */
  fetch(port: DevicePort, target: Uint8Array): boolean {
    const { ok } = port.read(this.address + this.head * SQ_ENTRY_BYTES, target, 0, SQ_ENTRY_BYTES);
    this.head = (this.head + 1) % this.entries;
    return ok;
  }
}

/** One completion to be posted. */
export interface CompletionEntry {
  readonly result: number;
  readonly queue: SubmissionQueue;
  readonly commandId: number;
  readonly status: Status;
}

export class CompletionQueue {
  readonly id: number;
  readonly address: number;
  readonly entries: number;
  /** MSI-X vector; `undefined`: interrupts disabled for this queue. */
  readonly vector: number | undefined;
  /** Submission queues that post here; it can be deleted only when there are none. */
  users = 0;
  #head = 0;
  #tail = 0;
  #phase = 1;
  /** At most one entry for each command that was on its way when the queue was found full. */
  readonly #waiting: CompletionEntry[] = [];
  readonly #bytes = new Uint8Array(CQ_ENTRY_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(id: number, address: number, entries: number, vector: number | undefined) {
    this.id = id;
    this.address = address;
    this.entries = entries;
    this.vector = vector;
  }

  /** The host has taken nothing for so long that completions wait. */
  get isStalled(): boolean {
    return this.#waiting.length > 0;
  }

  /** The host's doorbell. `false`: it claims to have taken what was not posted. */
  moveHead(head: number): boolean {
    const posted = (this.#tail - this.#head + this.entries) % this.entries;
    const taken = (head - this.#head + this.entries) % this.entries;
    if (head >= this.entries || taken > posted) {
      return false;
    }
    this.#head = head;
    return true;
  }

  /** Posts what fits, in order, and sends one interrupt for all of it. */
  post(port: DevicePort, entry?: CompletionEntry): void {
    if (entry !== undefined) {
      this.#waiting.push(entry);
    }
    let posted = 0;
    while (posted < this.#waiting.length && (this.#tail + 1) % this.entries !== this.#head) {
      this.#write(port, this.#waiting[posted] as CompletionEntry);
      posted++;
    }
    this.#waiting.splice(0, posted);
    if (posted > 0 && this.vector !== undefined) {
      port.interrupt(this.vector);
    }
  }

  #write(port: DevicePort, entry: CompletionEntry): void {
    this.#view.setUint32(0, entry.result, true);
    this.#view.setUint32(4, 0, true);
    this.#view.setUint16(8, entry.queue.head, true);
    this.#view.setUint16(10, entry.queue.id, true);
    this.#view.setUint16(12, entry.commandId, true);
    this.#view.setUint16(14, (entry.status << 1) | this.#phase, true);
    port.write(this.address + this.#tail * CQ_ENTRY_BYTES, this.#bytes, 0, CQ_ENTRY_BYTES);
    this.#tail = (this.#tail + 1) % this.entries;
    if (this.#tail === 0) {
      this.#phase ^= 1;
    }
  }
}
