/**
 * Flush queue: unmapped addresses that hardware may still translate, until the next flush.
 *
 * Lazy invalidation as in Linux (dma-iommu.c, 6.12: 256 entries, 10 ms): one flush for many unmaps. An
 * address in here is not given out again, so what is stale never leads to somebody else's mapping.
 */
import { type Clock, InputError, type ScheduledEvent } from "@peerbuf/core";

/** `IOVA_DEFAULT_FQ_SIZE`. */
export const FLUSH_ENTRIES_DEFAULT = 256;
/** `IOVA_FQ_TIMEOUT`, ns of virtual time. */
export const FLUSH_TIMEOUT_NS_DEFAULT = 10_000_000;

export interface FlushQueueOptions {
  /** Unmaps that wait for one flush at most. */
  readonly entriesMax?: number;
  /** Longest time that one waits, ns of virtual time. */
  readonly timeoutNs?: number;
}

/** Makes hardware forget everything, and gives the addresses back. */
export type Flush = (entries: readonly (readonly [iova: number, sizeBytes: number])[]) => void;

export class FlushQueue {
  readonly #clock: Clock;
  readonly #flush: Flush;
  readonly #entriesMax: number;
  readonly #timeoutNs: number;
  #entries: (readonly [iova: number, sizeBytes: number])[] = [];
  #timer: ScheduledEvent | undefined;

  constructor(clock: Clock, options: FlushQueueOptions, flush: Flush) {
    this.#clock = clock;
    this.#flush = flush;
    this.#entriesMax = options.entriesMax ?? FLUSH_ENTRIES_DEFAULT;
    this.#timeoutNs = options.timeoutNs ?? FLUSH_TIMEOUT_NS_DEFAULT;
  }

  add(iova: number, sizeBytes: number): void {
    this.#entries.push([iova, sizeBytes]);
    if (this.#entries.length >= this.#entriesMax) {
      this.flush();
    } else {
      this.#timer ??= this.#clock.schedule(this.#timeoutNs, () => this.flush());
    }
  }

  /** Does nothing when nothing waits. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const entries = this.#entries;
    this.#entries = [];
    if (entries.length > 0) {
      this.#flush(entries);
    }
  }
}

/** `InputError` for limits that would never be reached. */
export function checkFlushQueue({ entriesMax = 1, timeoutNs = 0 }: FlushQueueOptions): void {
  const isLimit = Number.isSafeInteger(entriesMax) && entriesMax > 0;
  if (!(isLimit && Number.isFinite(timeoutNs) && timeoutNs >= 0)) {
    throw new InputError({
      source: "flushQueue",
      cause: `${entriesMax} unmaps and ${timeoutNs} ns are no limits of a queue`,
      remedy: "Name a whole number of unmaps from 1, and a time from 0 ns",
    });
  }
}
