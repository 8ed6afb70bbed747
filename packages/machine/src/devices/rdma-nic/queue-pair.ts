/**
 * Queue pair: one reliable connection (RC) and its send queue.
 *
 * Requests run one after the other. The first that fails puts the queue pair into the error state;
 * those behind it are flushed, as verbs do, until the host makes a new queue pair.
 */
export class QueuePair {
  readonly number: number;
  readonly address: number;
  readonly entries: number;
  head = 0;
  tail = 0;
  /** A request runs; its successor starts when it is over. */
  busy = false;
  failed = false;
  remoteLid = 0;
  remoteQueuePair = 0;

  constructor(number: number, address: number, entries: number) {
    this.number = number;
    this.address = address;
    this.entries = entries;
  }

  isConnectedTo(lid: number, queuePair: number): boolean {
    return !this.failed && this.remoteLid === lid && this.remoteQueuePair === queuePair;
  }
}
