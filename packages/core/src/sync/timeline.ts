/**
 * Timeline: fences of one context that signal in seqno order.
 *
 * Has the semantics of Linux's sw_sync (drivers/dma-buf/sw_sync.c, 6.12): a counter, and fences
 * that signal when it reaches them. Drivers with an in-order queue use `next` and `advanceTo`.
 * Closing ends what is left with ENOENT, so nobody waits for a timeline that is gone.
 */
import { PeerbufError } from "../error.ts";
import { beginDelivery, endDelivery } from "./delivery.ts";
import type { Fence } from "./fence.ts";
import type { FenceContext, FenceContextOptions, FenceDomain } from "./fence-context.ts";
import { FenceError } from "./fence-error.ts";
import { SoftwareFence } from "./software-fence.ts";

export type TimelineOptions = Pick<FenceContextOptions, "timelineName"> &
  Partial<FenceContextOptions>;

const UINT32_MAX = 0xffff_ffff;
/** The largest step of a 32-bit counter that is still a step forward. */
const INT32_MAX = 0x7fff_ffff;
/** Reached fences are cut off the list once there are this many and they are half of it. */
const CUT_MIN = 256;

export class Timeline {
  readonly context: FenceContext;
  private reached = 0;
  /** The last one given out or reached, so never behind `reached`. */
  private lastSeqno = 0;
  private isClosed = false;
  /** In seqno order; those before `head` are reached. One entry per unsignaled seqno. */
  private readonly pending: SoftwareFence[] = [];
  private head = 0;

  constructor(domain: FenceDomain, options: TimelineOptions) {
    this.context = domain.createContext({ driverName: "sw_sync", ...options });
  }

  /** Everything up to and including this seqno is done. */
  get value(): number {
    return this.reached;
  }

  /** The seqno that `next` will give out. */
  get nextSeqno(): number {
    return this.wrapped(this.lastSeqno + 1);
  }

  /** An unsignaled fence, one place after all that were given out or reached. `HANDLE_CLOSED` after `close`. */
  next(): SoftwareFence {
    return this.fenceAt(this.nextSeqno);
  }

  /**
   * The fence at a seqno. The same unsignaled seqno gives the same object; a seqno that is reached
   * already gives a signaled fence. Numbers beyond 32 bits need a 64-bit timeline.
   */
  fenceAt(seqno: number): SoftwareFence {
    this.checkFence(seqno);
    const place = this.placeOf(seqno);
    const found = this.pending[place];
    if (found?.seqno === seqno && !found.isSignaled) {
      return found;
    }
    const fence = new SoftwareFence(this.context, seqno);
    if (this.distance(seqno) <= 0) {
      fence.signal();
    } else {
      this.insert(fence, place, found?.seqno === seqno);
    }
    this.lastSeqno = this.distance(seqno) > this.distance(this.lastSeqno) ? seqno : this.lastSeqno;
    return fence;
  }

  /** Moves on by `count` (0 to 2^32 - 1) and signals, in seqno order, everything reached. */
  increment(count: number): void {
    if (!Number.isSafeInteger(count) || count < 0 || count > UINT32_MAX) {
      throw new PeerbufError("ARGUMENT_INVALID", `a step of ${count}: 0 to 2^32 - 1 is possible`);
    }
    for (let left = count; left > 0; left -= INT32_MAX) {
      this.moveTo(this.reached + Math.min(left, INT32_MAX));
    }
  }

  /** Moves on to a seqno and signals everything reached; an earlier seqno changes nothing. */
  advanceTo(seqno: number): void {
    if (this.distance(seqno) > 0) {
      this.moveTo(seqno);
    }
  }

  /** The earliest wish for a fence of this timeline. EINVAL: a stranger's fence; ENOENT: no wish. */
  deadlineNs(fence: Fence): number {
    const name = `${fence.driverName} ${fence.timelineName} ${fence.seqno}`;
    if (fence.context !== this.context || !(fence instanceof SoftwareFence)) {
      throw new PeerbufError("ARGUMENT_INVALID", `${name} is not of ${this.context.timelineName}`);
    }
    if (fence.deadlineNs === undefined) {
      const none = { errno: "ENOENT" };
      throw new PeerbufError("ARGUMENT_INVALID", `no deadline was set on ${name}`, none);
    }
    return fence.deadlineNs;
  }

  /** Ends every unsignaled fence with ENOENT (or the given error). A second call does nothing. */
  close(error?: FenceError): void {
    this.isClosed = true;
    const { timelineName } = this.context;
    const failure = error ?? new FenceError("ENOENT", `timeline ${timelineName} was closed`);
    this.signalWhile(
      () => true,
      (fence) => fence.setError(failure),
    );
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Signed places from the counter to a seqno; not above 0 means reached. */
  private distance(seqno: number): number {
    const difference = seqno - this.reached;
    return this.context.seqnoBits === 64 ? difference : difference | 0;
  }

  private wrapped(seqno: number): number {
    return this.context.seqnoBits === 64 ? seqno : seqno >>> 0;
  }

  private checkFence(seqno: number): void {
    const { seqnoBits, timelineName } = this.context;
    if (this.isClosed) {
      throw new PeerbufError("HANDLE_CLOSED", `timeline ${timelineName} is closed`);
    }
    if (seqnoBits === 32 && seqno > UINT32_MAX) {
      throw new PeerbufError("ARGUMENT_INVALID", `seqno ${seqno} on a 32-bit timeline`);
    }
  }

  /** Where the seqno is or belongs among the pending: appending is the common case. */
  private placeOf(seqno: number): number {
    const distance = this.distance(seqno);
    let low = this.head;
    let high = this.pending.length;
    let middle = high - 1;
    while (low < high) {
      const other = this.pending[middle];
      if (other !== undefined && this.distance(other.seqno) < distance) {
        low = middle + 1;
      } else {
        high = middle;
      }
      middle = (low + high) >>> 1;
    }
    return low;
  }

  private insert(fence: SoftwareFence, place: number, replaces: boolean): void {
    if (place === this.pending.length) {
      this.pending.push(fence);
    } else {
      this.pending.splice(place, replaces ? 1 : 0, fence);
    }
  }

  private moveTo(seqno: number): void {
    if (this.distance(seqno) > this.distance(this.lastSeqno)) {
      this.lastSeqno = this.wrapped(seqno);
    }
    this.reached = this.wrapped(seqno);
    this.signalWhile((fence) => this.distance(fence.seqno) <= 0);
  }

  /** A callback may come back here: the list is consistent before each signal. */
  private signalWhile(
    isReached: (fence: SoftwareFence) => boolean,
    prepare?: (fence: SoftwareFence) => void,
  ): void {
    beginDelivery();
    let fence = this.pending[this.head];
    while (fence !== undefined && isReached(fence)) {
      this.head++;
      if (!fence.isSignaled) {
        prepare?.(fence);
        fence.signal();
      }
      fence = this.pending[this.head];
    }
    this.cutReached();
    endDelivery();
  }

  private cutReached(): void {
    if (this.head >= CUT_MIN && this.head * 2 >= this.pending.length) {
      this.pending.splice(0, this.head);
      this.head = 0;
    }
  }
}
