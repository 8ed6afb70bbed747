/**
 * Fence book: every fence that was handed to others, who owes its signal, and who waits under which lock.
 *
 * The last part is what lockdep does for the kernel, over classes that are known here: the locks of
 * reservations and the contexts of fences. An arrow says "held, or owed, while that was waited for";
 * a circle of arrows is a deadlock that some schedule will meet, whether or not this one did.
 */
import {
  type Fence,
  type FenceContext,
  isLater,
  PeerbufError,
  type ReservationUsage,
  SoftwareFence,
} from "@peerbuf/core";
import type { Actors, Task } from "./actors.ts";
import type { FenceListener } from "./device-work.ts";
import type { ViolationLog } from "./violation.ts";

export interface Published {
  readonly fence: Fence;
  readonly producer: string;
  readonly task: Task | undefined;
  readonly order: number;
  /** The reservation it is on, and as what; left out while it is only in an answer. */
  place: { readonly label: string; readonly usage: ReservationUsage } | undefined;
  /** Its producer called `signal` on it. */
  isSignaledByProducer: boolean;
}

interface TakenLock {
  readonly label: string;
  readonly actor: string;
  readonly task: Task | undefined;
  readonly order: number;
}

/** The end of one piece of a driver's work, while it hears of it. */
interface Completion {
  readonly driver: string;
  waitedFor: Fence | undefined;
  hasSignaled: boolean;
  /** The work has failed. */
  readonly isFailure: boolean;
  /** Signaled without an error. */
  readonly silent: Set<Fence>;
}

/** A node of the order of waits: a reservation's label, or a fence context. */
type Waited = string | FenceContext;

export class FenceBook {
  readonly #log: ViolationLog;
  readonly #actors: Actors;
  readonly #published = new Map<Fence, Published>();
  readonly #seqnos = new Map<FenceContext, Map<number, Fence>>();
  readonly #locks: TakenLock[] = [];
  readonly #arrows = new Map<Waited, Set<Waited>>();
  readonly #listener: FenceListener;
  #order = 0;
  #completion: Completion | undefined;
  /** The latest fence of each context that has signaled. */
  readonly #signaled = new Map<FenceContext, Fence>();

  constructor(log: ViolationLog, actors: Actors, listener: FenceListener) {
    this.#log = log;
    this.#actors = actors;
    this.#listener = listener;
  }

  /** Fences that are published from now on have higher numbers. */
  get lastOrder(): number {
    return this.#order;
  }

  /** From here on others may wait for it. */
  publish(fence: Fence, place?: Published["place"]): void {
    if (typeof fence?.addCallback !== "function") {
      return; // Said where it was handed on.
    }
    const known = this.#published.get(fence);
    if (known !== undefined && place !== undefined) {
      known.place = place;
      this.#listener.published(known);
    }
    if (fence.isSignaled || known !== undefined) {
      return;
    }
    const { current: producer } = this.#actors;
    const order = ++this.#order;
    const { task } = this.#actors;
    const entry = { fence, producer, task, order, place, isSignaledByProducer: false };
    this.#published.set(fence, entry);
    this.#checkSeqno(fence);
    this.#watchWaits(fence);
    if (fence instanceof SoftwareFence) {
      this.#watchSignal(fence, entry);
    }
    if (place !== undefined) {
      this.#listener.published(entry);
    }
  }

  /** A piece of work of this driver has ended, and it hears of it until `end`. */
  beginCompletion(driver: string, isFailure: boolean): { end(hasBegunMore: boolean): void } {
    const completion: Completion = {
      driver,
      isFailure,
      waitedFor: undefined,
      hasSignaled: false,
      silent: new Set(),
    };
    const before = this.#completion;
    this.#completion = completion;
    return {
      end: (hasBegunMore) => {
        this.#completion = before;
        for (const fence of isFailure ? completion.silent : []) {
          this.#log.report("SYN-021", nameOf(fence), "ends failed work and carries no error");
        }
        const { waitedFor, hasSignaled } = completion;
        if (waitedFor !== undefined && !hasSignaled && !hasBegunMore && this.#owes(driver)) {
          const text = `a completion of ${driver} waits for it, and signals nothing`;
          this.#log.report("SYN-003", nameOf(waitedFor), text);
        }
      },
    };
  }

  /** Somebody waits for the lock of a reservation, in its own right (core's short locks never wait). */
  waitsForLock(label: string): void {
    const { current } = this.#actors;
    this.#checkInvalidating(`it waits for the lock of ${label}`);
    for (const { fence, producer, place } of this.#owing()) {
      if (producer !== current || current === "") {
        continue;
      }
      this.#arrow(fence.context, label);
      if (this.#actors.completing > 0 && place?.label === label) {
        const text = `a completion of ${current} waits for the lock of ${label} before it is signaled`;
        this.#log.report("SYN-004", nameOf(fence), text);
      }
    }
  }

  tookLock(label: string, actor: string, task: Task | undefined): void {
    this.#locks.push({ label, actor, task, order: ++this.#order });
  }

  gaveLock(label: string): void {
    const at = this.#locks.findLastIndex((lock) => lock.label === label);
    if (at >= 0) {
      this.#locks.splice(at, 1);
    }
  }

  /** The actor that took the lock; `undefined` where it is not held through a wait. */
  holderOf(label: string): string | undefined {
    return this.#locks.findLast((lock) => lock.label === label)?.actor;
  }

  waitsForFence(fence: Fence): void {
    const { current } = this.#actors;
    this.#checkInvalidating(`it waits for ${nameOf(fence)}`);
    if (this.#completion?.driver === current && !fence.isSignaled) {
      this.#completion.waitedFor ??= fence;
    }
    for (const { label, actor } of this.#locks) {
      if (actor === current && current !== "") {
        this.#arrow(label, fence.context);
      }
    }
  }

  /** Unfinished work on a reservation, oldest first. */
  workOn(label: string): Published[] {
    return this.#owing().filter(({ place }) => place?.label === label);
  }

  /** Nothing is going to happen any more: what is not signaled now never will be. */
  finish(): void {
    for (const { fence } of this.#owing()) {
      const waiters = fence.waiters().join(", ") || "nobody yet";
      this.#log.report("SYN-002", nameOf(fence), `is not signaled at the end; waiting: ${waiters}`);
    }
    this.#published.clear();
  }

  #owing(): Published[] {
    const owing: Published[] = [];
    for (const [fence, entry] of this.#published) {
      if (fence.isSignaled) {
        this.#published.delete(fence);
      } else {
        owing.push(entry);
      }
    }
    return owing;
  }

  #owes(driver: string): boolean {
    return this.#owing().some(({ producer }) => producer === driver);
  }

  #checkSeqno(fence: Fence): void {
    const done = this.#signaled.get(fence.context);
    if (done !== undefined && isLater(done, fence)) {
      this.#log.report("SYN-005", nameOf(fence), `begins after ${nameOf(done)} has signaled`);
    }
    let seqnos = this.#seqnos.get(fence.context);
    if (seqnos === undefined) {
      seqnos = new Map();
      this.#seqnos.set(fence.context, seqnos);
    }
    const other = seqnos.get(fence.seqno);
    if (other !== undefined && other !== fence) {
      this.#log.report("SYN-006", nameOf(fence), "is a second fence with this seqno");
    }
    seqnos.set(fence.seqno, fence);
  }

  #watchSignal(fence: SoftwareFence, entry: Published): void {
    const { signal, setError } = fence;
    fence.signal = (timestampNs) => {
      this.#checkSignal(entry);
      const isFirst = !fence.isSignaled;
      entry.isSignaledByProducer = true;
      try {
        if (this.#completion !== undefined) {
          this.#completion.hasSignaled = true;
        }
        this.#noteSignaled(fence);
        const answer = signal.call(fence, timestampNs);
        if (isFirst && fence.error === undefined && this.#completion?.driver === entry.producer) {
          this.#completion.silent.add(fence);
        }
        return answer;
      } catch (error) {
        this.#log.report("SYN-016", nameOf(fence), `a callback threw: ${messageOf(error)}`);
        throw error;
      }
    };
    fence.setError = (error) => {
      if (fence.isSignaled) {
        this.#log.report("SYN-012", nameOf(fence), `is given ${error.errno} after it was signaled`);
        this.#completion?.silent.delete(fence);
      }
      setError.call(fence, error);
    };
    const dispose = fence[Symbol.dispose];
    fence[Symbol.dispose] = () => {
      if (!fence.isSignaled) {
        this.#log.report("SYN-013", nameOf(fence), "its producer let go of it unsignaled");
      }
      dispose.call(fence);
    };
  }

  #checkSignal(entry: Published): void {
    const { fence, producer, task, order } = entry;
    if (fence.isSignaled) {
      if (entry.isSignaledByProducer) {
        this.#log.report("SYN-001", nameOf(fence), "is signaled a second time");
      }
      return;
    }
    this.#listener.signaled(entry);
    const isSame = (lock: TakenLock): boolean =>
      task === undefined ? producer !== "" && lock.actor === producer : lock.task === task;
    const held = this.#locks.find((lock) => lock.order > order && isSame(lock));
    if (held !== undefined) {
      const text = `is signaled under the lock of ${held.label}, which was waited for after the fence was published`;
      this.#log.report("SYN-004", nameOf(fence), text);
    }
    const earlier = this.#owing().find((other) => isLater(fence, other.fence));
    if (earlier !== undefined) {
      this.#log.report("SYN-005", nameOf(fence), `signals before ${nameOf(earlier.fence)}`);
    }
  }

  #noteSignaled(fence: Fence): void {
    const done = this.#signaled.get(fence.context);
    if (done === undefined || isLater(fence, done)) {
      this.#signaled.set(fence.context, fence);
    }
  }

  #watchWaits(fence: Fence): void {
    const { signaled } = fence;
    fence.signaled = (options) => {
      this.waitsForFence(fence);
      return this.refusals(fence, signaled.call(fence, options));
    };
  }

  /** A wait that is refused inside a signalling section. */
  refusals<T>(fence: Fence, wait: Promise<T>): Promise<T> {
    wait.catch((error: unknown) => {
      if (error instanceof PeerbufError && error.code === "WAIT_IN_SIGNALLING") {
        this.#log.report("SYN-003", nameOf(fence), error.message);
      }
    });
    return wait;
  }

  #checkInvalidating(what: string): void {
    if (this.#actors.invalidating > 0) {
      this.#log.report("IMP-020", this.#actors.current, `in invalidateMappings ${what}`);
    }
  }

  #arrow(from: Waited, to: Waited): void {
    const targets = this.#arrows.get(from) ?? new Set();
    if (targets.has(to)) {
      return;
    }
    this.#arrows.set(from, targets.add(to));
    const way = this.#way(to, from, new Set());
    if (way !== undefined) {
      const text = [from, ...way].map(nameOfWaited).join(" → ");
      this.#log.report("SYN-014", nameOfWaited(from), `is waited for in a circle: ${text}`);
    }
  }

  /** The way along the arrows, both ends included. */
  #way(from: Waited, to: Waited, seen: Set<Waited>): Waited[] | undefined {
    if (from === to) {
      return [to];
    }
    seen.add(from);
    for (const next of this.#arrows.get(from) ?? []) {
      const rest = seen.has(next) ? undefined : this.#way(next, to, seen);
      if (rest !== undefined) {
        return [from, ...rest];
      }
    }
    return undefined;
  }
}

export const nameOf = ({ driverName, timelineName, seqno }: Fence): string =>
  `fence ${driverName} ${timelineName} ${seqno}`;

const nameOfWaited = (waited: Waited): string =>
  typeof waited === "string" ? waited : `fences of ${waited.driverName} ${waited.timelineName}`;

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
