/**
 * Checked storage: the answers of one buffer's exporter, held against the contract.
 *
 * Presence is kept: an operation that the exporter leaves out is left out here, because core reads
 * abilities from it. Only `mapped` and `unmapped` are always there, to know what is in use.
 */
import {
  type AttachAnswer,
  type AttachRequest,
  type BufferControl,
  type Decline,
  type Fence,
  FenceError,
  PeerbufError,
  type PhysicalRanges,
  type Placement,
  type PlacementRequest,
  type Storage,
} from "@peerbuf/core";
import { checkOffers, checkReason, isPromise } from "./answers.ts";
import { messageOf } from "./fence-book.ts";
import { type PlacedBuffer, PlacementCheck } from "./placement-check.ts";
import type { Watch } from "./watch.ts";
import { type Motions, watchControl } from "./watched-control.ts";

export interface StorageFacts {
  readonly watch: Watch;
  /** Driver and device. */
  readonly exporter: string;
  readonly sizeBytes: number;
  readonly control: BufferControl;
  /** The driver's buffers that are not released. */
  readonly alive: Set<PlacedBuffer>;
}

export function checkedStorage(storage: Storage, facts: StorageFacts): Storage {
  return new StorageCheck(storage, facts).wrapped();
}

class StorageCheck {
  readonly #storage: Storage;
  readonly #watch: Watch;
  readonly #exporter: string;
  readonly #subject: string;
  readonly #control: BufferControl;
  readonly #motions: Motions;
  readonly #placements: PlacementCheck;
  readonly #typesAtFirst: Storage["types"];
  #brackets = 0;

  constructor(storage: Storage, facts: StorageFacts) {
    const { watch, exporter, control, alive, sizeBytes } = facts;
    this.#storage = storage;
    this.#watch = watch;
    this.#exporter = exporter;
    this.#control = control;
    this.#subject = control.reservation.label;
    this.#motions = watchControl(watch, exporter, this.#subject, control);
    const about = { watch, subject: this.#subject, sizeBytes, alive, motions: this.#motions };
    this.#placements = new PlacementCheck(about);
    this.#typesAtFirst = storage.types;
    checkOffers(watch.log, "EXP-001", this.#subject, storage.types);
    this.#checkPin();
  }

  wrapped(): Storage {
    const { reason, attach, detach, pin, unpin, copy, read, write } = this.#storage;
    const { beginCpuAccess, endCpuAccess } = this.#storage;
    const storage = this.#storage;
    return {
      types: storage.types,
      ...(reason && { reason }),
      ...(attach && { attach: (request) => this.#attach(attach.bind(storage), request) }),
      ...(detach && {
        detach: (client) => this.#must("detach", () => detach.call(storage, client)),
      }),
      ...(pin && { pin: (request) => this.#pin(pin.bind(storage), request) }),
      ...(unpin && { unpin: () => this.#unpin(unpin.bind(storage)) }),
      place: (request) => this.#place("place", () => storage.place(request), request),
      mapped: (placement) => this.#mapped(placement),
      unmapped: (placement) => this.#unmapped(placement),
      ...(copy && {
        copy: (target, way) => this.#copy(target, () => copy.call(storage, target, way)),
      }),
      ...(beginCpuAccess && {
        beginCpuAccess: async (use) => {
          await this.#askLater("beginCpuAccess", () => beginCpuAccess.call(storage, use));
          this.#brackets++;
        },
      }),
      ...(endCpuAccess && {
        endCpuAccess: (use) => this.#end(() => endCpuAccess.call(storage, use)),
      }),
      ...(read && {
        read: (at, target) => this.#askLater("read", () => read.call(storage, at, target)),
      }),
      ...(write && {
        write: (at, source) => this.#askLater("write", () => write.call(storage, at, source)),
      }),
      release: () => this.#release(),
    };
  }

  #run<T>(work: () => T): T {
    return this.#watch.actors.run(this.#exporter, work);
  }

  /** A step that may refuse, as a `PeerbufError` and in no other way. */
  #ask<T>(what: string, work: () => T): T {
    try {
      return this.#run(work);
    } catch (error) {
      this.#checkRefusal(what, error);
      throw error;
    }
  }

  async #askLater<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#run(work);
    } catch (error) {
      this.#checkRefusal(what, error);
      throw error;
    }
  }

  #checkRefusal(what: string, error: unknown): void {
    if (!(error instanceof PeerbufError || error instanceof FenceError)) {
      this.#report("EXP-003", `${what} threw ${messageOf(error)}`);
    }
  }

  #report(rule: Parameters<Watch["log"]["report"]>[0], text: string): void {
    this.#watch.log.report(rule, this.#subject, text);
  }

  #checkPin(): void {
    const { pin, unpin } = this.#storage;
    if ((pin === undefined) !== (unpin === undefined)) {
      this.#report("EXP-016", `has ${pin ? "pin" : "unpin"} and not the other`);
    }
  }

  #attach(attach: (request: AttachRequest) => AttachAnswer, request: AttachRequest): AttachAnswer {
    if (this.#storage.types !== this.#typesAtFirst) {
      checkSame(this.#watch, this.#subject, this.#typesAtFirst, this.#storage.types);
    }
    const before = this.#watch.host.heldBy(this.#exporter).length;
    const answer = this.#ask("attach", () => attach(request));
    if (isPromise(answer)) {
      this.#report("EXP-024", "answers attach with a promise");
      return answer;
    }
    if (answer.answer !== "accept") {
      checkReason(this.#watch.log, "EXP-026", this.#subject, answer.reason, "at attach");
    }
    if (answer.answer === "decline") {
      const kept = this.#watch.host.heldBy(this.#exporter).length - before;
      if (kept > 0) {
        this.#report("EXP-025", `declines an attach and keeps ${kept} allocations for it`);
      }
    }
    return answer;
  }

  #pin(
    pin: (request: PlacementRequest) => Placement | Decline,
    request: PlacementRequest,
  ): Placement | Decline {
    const answer = this.#place("pin", () => pin(request), request);
    if (!isPromise(answer) && !("answer" in answer)) {
      this.#placements.pinned(answer);
    }
    return answer;
  }

  #unpin(unpin: () => void): void {
    this.#placements.unpinned();
    this.#must("unpin", unpin);
  }

  #place(
    what: "place" | "pin",
    ask: () => Placement | Decline,
    request: PlacementRequest,
  ): Placement | Decline {
    const answer = this.#ask(what, ask);
    if (isPromise(answer)) {
      this.#report("EXP-024", `answers ${what} with a promise`);
    } else if ("answer" in answer) {
      checkReason(this.#watch.log, "EXP-026", this.#subject, answer.reason, `at ${what}`);
    } else {
      this.#placements.check(answer, request);
      this.#checkFence(answer.ready, what);
    }
    return answer;
  }

  #mapped(placement: Placement): void {
    if (isPromise(this.#ask("mapped", () => this.#storage.mapped?.(placement)))) {
      this.#report("EXP-024", "answers mapped with a promise");
    }
    this.#placements.mapped(placement);
  }

  #unmapped(placement: Placement): void {
    this.#placements.unmapped(placement);
    this.#must("unmapped", () => this.#storage.unmapped?.(placement));
  }

  #copy(target: PhysicalRanges, copy: () => Fence): Fence {
    const fence = this.#ask("copy", copy);
    if (isPromise(fence)) {
      this.#report("EXP-024", "answers copy with a promise");
    } else {
      this.#checkFence(fence ?? null, "copy");
      this.#uses(target, fence);
    }
    return fence;
  }

  /** An importer's own pages, until the copy is over. */
  #uses(target: PhysicalRanges, fence: Fence | undefined): void {
    const { work } = this.#watch.host;
    const ranges = [target];
    work.add(ranges);
    const over = (): void => void work.delete(ranges);
    if (
      typeof fence?.addCallback !== "function" ||
      fence.addCallback(over, "checker") === "signaled"
    ) {
      over();
    }
  }

  async #end(end: () => Promise<void>): Promise<void> {
    try {
      await this.#run(end);
    } catch (error) {
      if (this.#brackets > 0) {
        this.#report("EXP-040", `endCpuAccess failed: ${messageOf(error)}`);
      }
      throw error;
    } finally {
      this.#brackets--;
    }
  }

  #release(): void {
    this.#must("release", () => this.#storage.release());
    this.#placements.released();
  }

  /** An operation that cannot fail. */
  #must(what: string, work: () => unknown): void {
    try {
      if (isPromise(this.#run(work))) {
        this.#report("EXP-024", `answers ${what} with a promise`);
      }
    } catch (error) {
      this.#report("EXP-023", `${what} failed: ${messageOf(error)}`);
      throw error;
    }
  }

  #checkFence(fence: Fence | undefined | null, what: string): void {
    if (fence === undefined) {
      return;
    }
    if (typeof fence?.addCallback !== "function") {
      this.#report("SYN-019", `${what} hands on no fence`);
    } else if (fence.context.domain !== this.#control.reservation.domain) {
      this.#report("EXP-039", `${what} hands on a fence of another domain`);
    } else {
      this.#run(() => this.#watch.fences.publish(fence));
    }
  }
}

function checkSame(
  watch: Watch,
  subject: string,
  first: Storage["types"],
  now: Storage["types"],
): void {
  const isSame =
    first.length === now.length &&
    first.every(({ type, require }, at) => type === now[at]?.type && require === now[at]?.require);
  if (!isSame) {
    watch.log.report("EXP-002", subject, "lists other types than when it was made");
  }
}
