/**
 * Traffic: what went through the fabric and what was lost, counted by function.
 *
 * Flat columns, one entry a function, so that counting costs a few additions a request. The
 * processors and the root complex share the entry before the first function.
 */
import type { AccessKind } from "./root-complex.ts";

/** What one requester issued, or all of them together. Lost requests are among the requests. */
export interface TrafficCounters {
  readonly requests: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly lostReads: number;
  readonly lostWrites: number;
  readonly lostBytes: number;
}

/** What devices took from host RAM and put there. */
export interface MemoryTraffic {
  readonly readBytes: number;
  readonly writtenBytes: number;
}

export class Traffic {
  readonly #requests: Float64Array;
  readonly #readBytes: Float64Array;
  readonly #writtenBytes: Float64Array;
  readonly #lostReads: Float64Array;
  readonly #lostWrites: Float64Array;
  readonly #lostBytes: Float64Array;
  readonly #passedBytes: Float64Array;
  #memoryReadBytes = 0;
  #memoryWrittenBytes = 0;

  constructor(functionCount: number) {
    const column = () => new Float64Array(functionCount + 1);
    this.#requests = column();
    this.#readBytes = column();
    this.#writtenBytes = column();
    this.#lostReads = column();
    this.#lostWrites = column();
    this.#lostBytes = column();
    this.#passedBytes = column();
  }

  /** A request that may be split on its way. `row` is a function's, or -1 for the processors. */
  request(row: number, kind: AccessKind, lengthBytes: number): void {
    add(this.#requests, row, 1);
    add(kind === "read" ? this.#readBytes : this.#writtenBytes, row, lengthBytes);
  }

  lost(row: number, kind: AccessKind, lengthBytes: number): void {
    add(kind === "read" ? this.#lostReads : this.#lostWrites, row, 1);
    add(this.#lostBytes, row, lengthBytes);
  }

  /** Bytes of a device's request were taken from host RAM, or put there. */
  memory(kind: AccessKind, lengthBytes: number): void {
    if (kind === "read") {
      this.#memoryReadBytes += lengthBytes;
    } else {
      this.#memoryWrittenBytes += lengthBytes;
    }
  }

  ofMemory(): MemoryTraffic {
    return { readBytes: this.#memoryReadBytes, writtenBytes: this.#memoryWrittenBytes };
  }

  /** Bytes go through these bridges; -1 is the root complex. */
  pass(rows: Int32Array, lengthBytes: number): void {
    for (let index = 0; index < rows.length; index++) {
      add(this.#passedBytes, rows[index] as number, lengthBytes);
    }
  }

  of(row: number): TrafficCounters {
    return this.#sum(row + 1, row + 2);
  }

  total(): TrafficCounters {
    return this.#sum(0, this.#requests.length);
  }

  /** Bytes that went through a bridge in either direction; -1 is the root complex. */
  passedBytes(row: number): number {
    return this.#passedBytes[row + 1] as number;
  }

  #sum(first: number, end: number): TrafficCounters {
    const sum = (column: Float64Array): number =>
      column.subarray(first, end).reduce((one, other) => one + other, 0);
    return {
      requests: sum(this.#requests),
      readBytes: sum(this.#readBytes),
      writtenBytes: sum(this.#writtenBytes),
      lostReads: sum(this.#lostReads),
      lostWrites: sum(this.#lostWrites),
      lostBytes: sum(this.#lostBytes),
    };
  }
}

function add(column: Float64Array, row: number, amount: number): void {
  column[row + 1] = (column[row + 1] as number) + amount;
}
