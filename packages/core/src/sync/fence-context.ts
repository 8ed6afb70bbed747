/**
 * Fence context: one timeline, and what all timelines of one platform share.
 *
 * A domain is the platform's clock and its counter of context ids (dma_fence_context_alloc: starts
 * at 1, 0 belongs to stubs). It is an object and no global, so that two machines in one process
 * number alike and a replay shows the same names. Contexts are compared as objects, so fences of two
 * domains never pass for one timeline.
 */
import { PeerbufError } from "../error.ts";
import type { Clock } from "./clock.ts";
import type { Fence } from "./fence.ts";
import { SignallingAnnotation } from "./signalling.ts";
import type { SyncObserver } from "./sync-observer.ts";

/** What a driver may add to its fences. Every part may be left out. */
export interface FenceOperations {
  /**
   * Called once, when the first waiter comes or `enableSignaling` is called. False: "already
   * finished", the fence is signaled at once. Left out: signaling is always on.
   */
  enableSignaling?(fence: Fence): boolean;
  /** A cheap look at the hardware: true makes `poll` signal the fence. */
  signaled?(fence: Fence): boolean;
  /** Somebody wants it by then; called for each hint that is earlier than those before. */
  setDeadline?(fence: Fence, deadlineNs: number): void;
}

export interface FenceContextOptions {
  readonly driverName: string;
  readonly timelineName: string;
  /** How seqnos compare: 32 (default) wraps, 64 does not. */
  readonly seqnoBits?: 32 | 64;
  readonly operations?: FenceOperations;
}

const NO_OPERATIONS: FenceOperations = {};

export class FenceContext {
  readonly domain: FenceDomain;
  readonly id: number;
  readonly driverName: string;
  readonly timelineName: string;
  readonly seqnoBits: 32 | 64;
  readonly operations: FenceOperations;

  /** Use `FenceDomain.createContext`, which gives out the id. */
  constructor(domain: FenceDomain, id: number, options: FenceContextOptions) {
    this.domain = domain;
    this.id = id;
    this.driverName = options.driverName;
    this.timelineName = options.timelineName;
    this.seqnoBits = options.seqnoBits ?? 32;
    this.operations = options.operations ?? NO_OPERATIONS;
  }
}

export class FenceDomain {
  readonly clock: Clock;
  /** The context of every stub fence: id 0, names "stub". */
  readonly stubContext: FenceContext;
  /** Finds waits on the way to a signal; off until somebody begins a section. */
  readonly signalling: SignallingAnnotation = new SignallingAnnotation();
  /** Told of every fence that is put where others find it. A watchdog sets it. */
  onPublish: ((fence: Fence) => void) | undefined = undefined;
  /** Told of who looks and who changes. An explorer of schedules sets it. */
  observer: SyncObserver | undefined = undefined;
  private nextContextId = 1;
  private nextStamp = 1;

  constructor(clock: Clock) {
    this.clock = clock;
    this.stubContext = new FenceContext(this, 0, { driverName: "stub", timelineName: "stub" });
  }

  /** The first of `count` consecutive ids. */
  allocateContextIds(count: number): number {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new PeerbufError("ARGUMENT_INVALID", `cannot allocate ${count} fence contexts`);
    }
    const first = this.nextContextId;
    this.nextContextId += count;
    return first;
  }

  createContext(options: FenceContextOptions): FenceContext {
    return new FenceContext(this, this.allocateContextIds(1), options);
  }

  /** The ticket of an acquire context: smaller is older. */
  takeStamp(): number {
    return this.nextStamp++;
  }

  /** From here on the fence must signal in finite time, whatever anybody does. */
  publish(fence: Fence): void {
    this.onPublish?.(fence);
  }
}
