/**
 * Queue pair: one reliable connection (RC), with a send and a receive queue.
 *
 * Send requests run one after the other. The first that fails puts the queue pair into the error state;
 * those behind it are flushed, and so are all receive requests, as verbs have it, until the host resets it.
 */
import { RDMA_WORK_BYTES, type WorkRequest } from "./entries.ts";
import { RDMA_QUEUE_PAIR_STATE, type RdmaQueuePairState } from "./registers.ts";

const { RESET, INIT, RECEIVING, SENDING, ERROR } = RDMA_QUEUE_PAIR_STATE;

/** Where the host puts requests in: a ring of entries that the NIC takes in order. */
export class WorkRing {
  readonly address: number;
  readonly entries: number;
  head = 0;
  tail = 0;

  constructor(address: number, entries: number) {
    this.address = address;
    this.entries = entries;
  }

  get isEmpty(): boolean {
    return this.head === this.tail;
  }

  /** Of the next entry. */
  get headAddress(): number {
    return this.address + this.head * RDMA_WORK_BYTES;
  }

  advance(): void {
    this.head = (this.head + 1) % this.entries;
  }
}

export interface QueuePairShape {
  readonly number: number;
  readonly domain: number;
  readonly sends: WorkRing;
  readonly receives: WorkRing;
}

export class QueuePair {
  readonly number: number;
  readonly domain: number;
  readonly sends: WorkRing;
  readonly receives: WorkRing;
  /** A send request runs; its successor starts when it is over. */
  busy = false;
  /** The receive request that a message fills which has arrived in part. */
  receiving: WorkRequest | undefined;
  remoteLid = 0;
  remoteQueuePair = 0;
  rnrRetries = 0;
  #state: RdmaQueuePairState = RESET;

  constructor({ number, domain, sends, receives }: QueuePairShape) {
    this.number = number;
    this.domain = domain;
    this.sends = sends;
    this.receives = receives;
  }

  get state(): RdmaQueuePairState {
    return this.#state;
  }

  get isBroken(): boolean {
    return this.#state === ERROR;
  }

  /** Send requests are taken: to be run, or to be flushed. */
  get takesSends(): boolean {
    return this.#state === SENDING || this.#state === ERROR;
  }

  /** The only way up is one step after the other. `false`: there is no such way. */
  moveTo(state: number): boolean {
    const isStep =
      (state === INIT && (this.#state === RESET || this.#state === INIT)) ||
      (state === RECEIVING && this.#state === INIT) ||
      (state === SENDING && this.#state === RECEIVING);
    if (isStep) {
      this.#state = state;
    }
    return isStep;
  }

  break(): void {
    this.#state = ERROR;
  }

  /** The same, as it was when it was made. Whatever runs on the old one is dropped. */
  renewed(): QueuePair {
    const { number, domain, sends, receives } = this;
    return new QueuePair({
      number,
      domain,
      sends: new WorkRing(sends.address, sends.entries),
      receives: new WorkRing(receives.address, receives.entries),
    });
  }

  isConnectedTo(lid: number, queuePair: number): boolean {
    const isUp = this.#state === RECEIVING || this.#state === SENDING;
    return isUp && this.remoteLid === lid && this.remoteQueuePair === queuePair;
  }
}
