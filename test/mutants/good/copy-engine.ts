/**
 * Copy engine: carries bytes some time after it was asked to, and signals a fence when they are there.
 *
 * Jobs run in order on one timeline, each after the fence it was told to wait for. Closing ends what
 * is left with an error, so that nobody waits for an engine that is gone.
 */
import {
  CLOCK,
  type Clock,
  FENCES,
  type Fence,
  HOST_MEMORY,
  type HostMemory,
  type PhysicalRanges,
  type Services,
  Timeline,
} from "@peerbuf/core";
import { type ByteAccess, readRanges, writeRanges } from "./range-bytes.ts";

/** How long a job takes once it may begin, in ns. */
const JOB_NS = 100;

export class CopyEngine {
  readonly timeline: Timeline;
  readonly clock: Clock;
  readonly #memory: ByteAccess;
  /** Signals with the job that was asked for last. */
  #last: Fence | undefined;

  constructor(services: Services, driverName: string, memory?: ByteAccess) {
    this.clock = services.get(CLOCK);
    this.#memory = memory ?? (services.get(HOST_MEMORY) as HostMemory);
    this.timeline = new Timeline(services.get(FENCES), { driverName, timelineName: "copies" });
  }

  /** Copies `from` to `to` after the given fence and all jobs before; `done` runs just before the signal. */
  copy(from: PhysicalRanges, to: PhysicalRanges, after?: Fence, done?: () => void): Fence {
    return this.run(after, () => {
      this.carry(from, to);
      done?.();
    });
  }

  /** The bytes, at once. */
  carry(from: PhysicalRanges, to: PhysicalRanges): void {
    const bytes = new Uint8Array(from.sizeBytes);
    readRanges(this.#memory, from, 0, bytes);
    writeRanges(this.#memory, to, 0, bytes);
  }

  /** Any work on the engine's timeline. */
  run(after: Fence | undefined, work: () => void): Fence {
    const fence = this.timeline.next();
    const before = this.#last;
    this.#last = fence;
    afterwards(before, () =>
      afterwards(after, () =>
        this.clock.schedule(JOB_NS, () => {
          if (!fence.isSignaled) {
            work();
            this.timeline.advanceTo(fence.seqno);
          }
        }),
      ),
    );
    return fence;
  }

  close(): void {
    this.timeline.close();
  }
}

/** Runs now, or when the fence signals. */
export function afterwards(fence: Fence | undefined, run: () => void): void {
  if (fence === undefined || fence.addCallback(run) === "signaled") {
    run();
  }
}
