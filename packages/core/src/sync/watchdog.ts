/**
 * Fence watchdog: finds fences that are never signaled.
 *
 * Every published fence has to signal in finite time (the kernel's rule in
 * Documentation/driver-api/dma-buf.rst, "DMA Fences"). The watchdog holds a limit of virtual time
 * against each and names the fence and those who wait for it. It enables no signaling and adds no
 * callback, so watching changes nothing; one timer serves all fences.
 */
import { PeerbufError } from "../error.ts";
import type { ScheduledEvent } from "./clock.ts";
import type { Fence } from "./fence.ts";
import type { FenceDomain } from "./fence-context.ts";
import { FenceError } from "./fence-error.ts";
import { unwrapFence } from "./fence-merge.ts";
import { SoftwareFence } from "./software-fence.ts";

export interface LateFence {
  readonly fence: Fence;
  readonly driverName: string;
  readonly timelineName: string;
  readonly seqno: number;
  /** Who waits for it, directly or through arrays and chains. */
  readonly waiters: readonly string[];
  /** When watching began, in ns of the clock. */
  readonly sinceNs: number;
  /** True: the watchdog signaled it with ETIMEDOUT. */
  readonly isEnded: boolean;
}

export interface WatchdogOptions {
  /** How long a fence may take from when it was published, in ns. */
  readonly limitNs: number;
  /** Told once of each late fence. */
  readonly onLate: (late: LateFence) => void;
  /** Signal late fences with ETIMEDOUT, so that waiters go on. Only software fences can be. */
  readonly endLate?: boolean;
}

/** Signaled fences are swept out whenever the list has doubled, and never below this size. */
const SWEEP_MIN = 256;

export class FenceWatchdog {
  private readonly domain: FenceDomain;
  private readonly options: WatchdogOptions;
  /** Since when, by fence; in order of expiry because the limit is one for all. */
  private readonly watched: Map<Fence, number> = new Map();
  private sweepAt = SWEEP_MIN;
  private timer: ScheduledEvent | undefined = undefined;

  /** Watches every fence of the domain that is published from now on; one watchdog a domain. */
  constructor(domain: FenceDomain, options: WatchdogOptions) {
    if (!(options.limitNs > 0)) {
      throw new PeerbufError("ARGUMENT_INVALID", `a watchdog limit of ${options.limitNs} ns`);
    }
    if (domain.onPublish !== undefined) {
      throw new PeerbufError("WRONG_ORDER", "this fence domain has a watchdog already");
    }
    this.domain = domain;
    this.options = options;
    domain.onPublish = (fence) => this.watch(fence);
  }

  /** Watches a fence, of a container all members. One that is watched already keeps its time. */
  watch(fence: Fence): void {
    const nowNs = this.domain.clock.nowNs;
    for (const member of fence.isContainer ? unwrapFence(fence) : [fence]) {
      if (!member.isSignaled && !this.watched.has(member)) {
        this.watched.set(member, nowNs);
      }
    }
    if (this.watched.size >= this.sweepAt) {
      this.sweep();
    }
    if (this.timer === undefined && this.watched.size > 0) {
      this.schedule(this.options.limitNs);
    }
  }

  /** How many fences are being watched; signaled ones may be counted until the next sweep. */
  get watchedCount(): number {
    return this.watched.size;
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.watched.clear();
    this.domain.onPublish = undefined;
  }

  private sweep(): void {
    for (const fence of this.watched.keys()) {
      if (fence.isSignaled) {
        this.watched.delete(fence);
      }
    }
    this.sweepAt = Math.max(SWEEP_MIN, 2 * this.watched.size);
  }

  private schedule(delayNs: number): void {
    this.timer = this.domain.clock.schedule(delayNs, () => this.expire());
  }

  /** Takes every expired fence out first, because ending one may publish or signal others. */
  private expire(): void {
    this.timer = undefined;
    const expired: [Fence, number][] = [];
    for (const [fence, sinceNs] of this.watched) {
      const leftNs = sinceNs + this.options.limitNs - this.domain.clock.nowNs;
      if (leftNs > 0 && !fence.isSignaled) {
        this.schedule(leftNs);
        break;
      }
      this.watched.delete(fence);
      expired.push([fence, sinceNs]);
    }
    for (const [fence, sinceNs] of expired) {
      this.judge(fence, sinceNs);
    }
  }

  private judge(fence: Fence, sinceNs: number): void {
    if (fence.poll()) {
      return;
    }
    const { driverName, timelineName, seqno } = fence;
    const waiters = fence.waiters();
    const isEnded = this.options.endLate === true && fence instanceof SoftwareFence;
    if (isEnded) {
      const name = `${driverName} ${timelineName} ${seqno}`;
      fence.setError(new FenceError("ETIMEDOUT", `${name}: not within ${this.options.limitNs} ns`));
      fence.signal();
    }
    this.options.onLate({ fence, driverName, timelineName, seqno, waiters, sinceNs, isEnded });
  }
}
