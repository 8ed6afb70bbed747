/**
 * Fence array: one fence for several, signaled with all of them or with any of them.
 *
 * Its error is the first member error seen before it signals (Linux 6.12,
 * drivers/dma-buf/dma-fence-array.c). It signals after the deciding member's callbacks and before the
 * outermost `signal` returns.
 */
import { PeerbufError } from "../error.ts";
import { type DeferredSignal, defer } from "./delivery.ts";
import type { Fence } from "./fence.ts";
import { FenceBase } from "./fence-base.ts";
import type { FenceContext, FenceDomain } from "./fence-context.ts";
import type { FenceError } from "./fence-error.ts";

export interface FenceArrayOptions {
  /** `all` (default): after the last member. `any`: with the first. */
  readonly mode?: "all" | "any";
  /** A timeline of the creator's; left out, the array gets one of its own. */
  readonly context?: FenceContext;
  /** 1 when left out. */
  readonly seqno?: number;
}

const NAMES = { driverName: "dma_fence_array", timelineName: "unbound" } as const;

export class FenceArray extends FenceBase implements DeferredSignal {
  readonly members: readonly Fence[];
  readonly mode: "all" | "any";
  /** Members still needed; counts down once signaling is enabled. */
  private left: number;
  private failure: FenceError | undefined = undefined;

  /** Members may not be containers (`FENCE_IS_CONTAINER`); none at all is `ARGUMENT_INVALID`. */
  constructor(domain: FenceDomain, members: Iterable<Fence>, options: FenceArrayOptions = {}) {
    super(options.context ?? domain.createContext(NAMES), options.seqno ?? 1);
    this.members = [...members];
    this.mode = options.mode ?? "all";
    const distinct = checkedMembers(this.members);
    this.left = this.mode === "any" ? 1 : distinct;
  }

  override get driverName(): string {
    return NAMES.driverName;
  }

  override get timelineName(): string {
    return NAMES.timelineName;
  }

  override get isContainer(): boolean {
    return true;
  }

  override setDeadline(deadlineNs: number): void {
    if (!this.isSignaled) {
      for (const member of this.members) {
        member.setDeadline(deadlineNs);
      }
    }
  }

  runDeferred(): void {
    this.leaveMembers();
    this.finish(this.failure);
  }

  protected override pendingError(): FenceError | undefined {
    return this.failure;
  }

  protected override beginSignaling(): boolean {
    for (const member of new Set(this.members)) {
      if (member.addCallback(this.onMember, this) === "signaled" && this.count(member)) {
        this.leaveMembers();
        return false;
      }
      if (this.isSignaled) {
        this.leaveMembers();
        return true;
      }
    }
    return true;
  }

  /** Counts the members itself while nobody does it for us, so that polling needs no callbacks. */
  protected override peek(): boolean {
    if (this.isEnabled) {
      return this.left <= 0;
    }
    let left = this.left;
    let failure: FenceError | undefined;
    for (const member of new Set(this.members)) {
      if (member.poll()) {
        failure ??= member.error;
        left--;
      }
      if (left === 0) {
        this.failure = failure;
        return true;
      }
    }
    return false;
  }

  private readonly onMember = (member: Fence): void => {
    this.context.domain.observer?.counted(`${this.timelineName} ${this.context.id}`, true);
    if (this.count(member)) {
      defer(this);
    }
  };

  /** True exactly once: when nothing more is needed. */
  private count(member: Fence): boolean {
    this.failure ??= member.error;
    this.left--;
    return this.left === 0;
  }

  private leaveMembers(): void {
    for (const member of this.members) {
      member.removeCallback(this.onMember);
    }
  }
}

/** How many distinct members there are. */
function checkedMembers(members: readonly Fence[]): number {
  if (members.length === 0) {
    throw new PeerbufError("ARGUMENT_INVALID", "a fence array needs at least one member");
  }
  const container = members.find((member) => member.isContainer);
  if (container !== undefined) {
    const message = `a fence array cannot hold a ${container.driverName}: unwrap it first`;
    throw new PeerbufError("FENCE_IS_CONTAINER", message);
  }
  return new Set(members).size;
}
