/**
 * Reservation: the checks of Linux's drivers/dma-buf/st-dma-resv.c for every usage, its rules for
 * slots, and its fences against a reference model.
 */
import {
  type Fence,
  FenceArray,
  LockOwner,
  Reservation,
  type ReservationUsage,
  SoftwareFence,
  Timeline,
  usageBefore,
} from "@peerbuf/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { settleTasks, testDomain } from "./virtual-clock.ts";

const USAGES: readonly ReservationUsage[] = ["kernel", "write", "read", "bookkeep"];

/** A reservation that is locked for the test, and a source of timelines. */
function lockedReservation() {
  const { domain, clock } = testDomain();
  const owner = new LockOwner("test");
  const reservation = new Reservation(domain, "buffer");
  reservation.tryLock(owner);
  const timeline = (): Timeline => new Timeline(domain, { timelineName: "ring" });
  const add = (fence: Fence, usage: ReservationUsage): void => {
    reservation.reserveFences(1);
    reservation.addFence(fence, usage);
  };
  return { domain, clock, owner, reservation, timeline, add };
}

function stored(reservation: Reservation): [Fence, ReservationUsage][] {
  const list: [Fence, ReservationUsage][] = [];
  reservation.forEachFence("bookkeep", (fence, usage) => list.push([fence, usage]));
  return list;
}

describe.each(USAGES)("st-dma-resv, usage %s", (usage) => {
  it("sanitycheck: can be locked and unlocked", async () => {
    const { reservation, owner } = lockedReservation();
    reservation.unlock(owner);

    await reservation.lock(owner);

    expect(reservation.isLocked).toBe(true);
  });

  it("test_signaling: not signaled at its level until the fence is", () => {
    const { reservation, timeline, add } = lockedReservation();
    const line = timeline();
    add(line.next(), usage);
    expect(reservation.testSignaled(usage)).toBe(false);

    line.increment(1);

    expect(reservation.testSignaled(usage)).toBe(true);
  });

  it("test_for_each: under the lock yields exactly this fence with its usage", () => {
    const { reservation, timeline, add } = lockedReservation();
    const fence = timeline().next();
    add(fence, usage);

    expect(stored(reservation)).toEqual([[fence, usage]]);
  });

  it("test_for_each_unlocked: reports the first start and a restart in the middle, with the fence again", () => {
    const { reservation, timeline, add } = lockedReservation();
    const fence = timeline().next();
    add(fence, usage);
    const cursor = reservation.cursor(usage);
    expect([cursor.next(), cursor.isRestarted, cursor.usage]).toEqual([fence, true, usage]);

    reservation.reserveFences(100); // The list is replaced by a larger one.

    expect([cursor.next(), cursor.isRestarted]).toEqual([fence, true]);
    expect([cursor.next(), cursor.isRestarted]).toEqual([undefined, false]);
  });

  it("test_get_fences: gives exactly this fence", () => {
    const { reservation, timeline, add } = lockedReservation();
    const fence = timeline().next();
    add(fence, usage);

    expect(reservation.getFences(usage)).toEqual([fence]);
  });

  it("a query sees this usage when it asks for it or for a weaker one", () => {
    const { reservation, timeline, add } = lockedReservation();
    add(timeline().next(), usage);

    const seen = USAGES.filter((asked) => !reservation.testSignaled(asked));

    expect(seen).toEqual(USAGES.slice(USAGES.indexOf(usage)));
  });
});

describe("reservation slots", () => {
  it("a later fence of the timeline takes the place of an earlier one of the same usage", () => {
    const { reservation, timeline, add } = lockedReservation();
    const line = timeline();
    add(line.next(), "read");
    const later = line.next();

    add(later, "read");

    expect(stored(reservation)).toEqual([[later, "read"]]);
  });

  it("an earlier fence of the timeline does not push out a later one", () => {
    const { reservation, timeline, add } = lockedReservation();
    const line = timeline();
    const [earlier, later] = [line.next(), line.next()];
    add(later, "read");

    add(earlier, "read");

    expect(reservation.getFences("read")).toContain(later);
  });

  it("a stronger usage promotes the same fence; a weaker one demotes nothing", () => {
    const { reservation, timeline, add } = lockedReservation();
    const fence = timeline().next();
    add(fence, "read");
    add(fence, "write");
    expect(stored(reservation)).toEqual([[fence, "write"]]);

    add(fence, "bookkeep");

    expect(stored(reservation)).toEqual([
      [fence, "write"],
      [fence, "bookkeep"],
    ]);
  });

  it("a later fence of weaker usage goes beside the earlier, stronger one", () => {
    const { reservation, timeline, add } = lockedReservation();
    const line = timeline();
    const [first, second] = [line.next(), line.next()];
    add(first, "write");

    add(second, "read");

    expect(stored(reservation)).toEqual([
      [first, "write"],
      [second, "read"],
    ]);
  });

  it("a signaled fence gives up its slot to any other", () => {
    const { reservation, timeline, add } = lockedReservation();
    const line = timeline();
    add(line.next(), "kernel");
    line.increment(1);
    const other = timeline().next();

    add(other, "bookkeep");

    expect(stored(reservation)).toEqual([[other, "bookkeep"]]);
  });

  it("adding cannot fail after reserving, and fails without", () => {
    const { reservation, timeline } = lockedReservation();
    reservation.reserveFences(2);
    reservation.addFence(timeline().next(), "read");
    reservation.addFence(timeline().next(), "read");

    expect(() => reservation.addFence(timeline().next(), "read")).toThrow(
      expect.objectContaining({ code: "SLOT_NOT_RESERVED" }),
    );
    expect(stored(reservation)).toHaveLength(2);
  });

  it("what was reserved ends with the lock", () => {
    const { reservation, timeline, owner } = lockedReservation();
    reservation.reserveFences(8);
    reservation.unlock(owner);
    reservation.tryLock(owner);

    expect(() => reservation.addFence(timeline().next(), "read")).toThrow(
      expect.objectContaining({ code: "SLOT_NOT_RESERVED" }),
    );
  });

  it("refuses to reserve none, or more than 2^20", () => {
    const { reservation } = lockedReservation();

    expect(() => reservation.reserveFences(0)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
    expect(() => reservation.reserveFences(2 ** 20 + 1)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED", errno: "ENOMEM" }),
    );
  });

  it("refuses containers, changing nothing", () => {
    const { reservation, domain, timeline } = lockedReservation();
    const array = new FenceArray(domain, [timeline().next()]);
    reservation.reserveFences(1);

    expect(() => reservation.addFence(array, "read")).toThrow(
      expect.objectContaining({ code: "FENCE_IS_CONTAINER" }),
    );
    expect(stored(reservation)).toEqual([]);
  });

  it("replaces every fence of a timeline, whatever its usage, and no other", () => {
    const { reservation, timeline, add } = lockedReservation();
    const [line, other] = [timeline(), timeline()];
    add(line.fenceAt(1), "write");
    add(line.fenceAt(2), "bookkeep");
    add(other.fenceAt(1), "read");
    const unmapped = timeline().next();

    reservation.replaceFences(line.context, unmapped, "bookkeep");

    expect(stored(reservation)).toEqual([
      [unmapped, "bookkeep"],
      [unmapped, "bookkeep"],
      [other.fenceAt(1), "read"],
    ]);
  });

  it("copies the unfinished fences of all usages in place of its own", () => {
    const source = lockedReservation();
    const target = lockedReservation();
    const [open, done] = [source.timeline(), source.timeline()];
    source.add(open.next(), "bookkeep");
    source.add(done.next(), "kernel");
    target.add(target.timeline().next(), "read");
    done.increment(1);

    target.reservation.copyFences(source.reservation);

    expect(stored(target.reservation)).toEqual([[open.fenceAt(1), "bookkeep"]]);
  });

  it("refuses every change without the lock", () => {
    const { reservation, timeline, owner, domain } = lockedReservation();
    const fence = timeline().next();
    reservation.unlock(owner);

    for (const change of [
      () => reservation.reserveFences(1),
      () => reservation.addFence(fence, "read"),
      () => reservation.replaceFences(fence.context, fence, "read"),
      () => reservation.copyFences(new Reservation(domain, "other")),
      () => reservation.forEachFence("read", () => undefined),
    ]) {
      expect(change).toThrow(expect.objectContaining({ code: "LOCK_NOT_HELD" }));
    }
  });
});

describe("reservation queries", () => {
  it("readers wait for writers, writers for readers too, movers for everything", () => {
    const { reservation, timeline, add } = lockedReservation();
    add(timeline().next(), "read");

    const busyFor = (["read", "write", "move"] as const).filter(
      (access) => !reservation.testSignaled(usageBefore(access)),
    );

    expect(busyFor).toEqual(["write", "move"]);
  });

  it("a bookkeep fence delays nobody but memory management", async () => {
    const { reservation, timeline, add } = lockedReservation();
    add(timeline().next(), "bookkeep");

    await reservation.idleBefore("read", { timeoutNs: 0 });
    await reservation.idleBefore("write", { timeoutNs: 0 });
    await expect(reservation.idleBefore("move", { timeoutNs: 0 })).rejects.toMatchObject({
      code: "WAIT_TIMED_OUT",
    });
  });

  it("idle ends with the last fence that was there, failed or not, and names its waiter", async () => {
    const { reservation, timeline, add } = lockedReservation();
    const [line, lost] = [timeline(), timeline()];
    add(line.next(), "write");
    add(lost.next(), "write");
    let isIdle = false;
    const wait = reservation.idle("write", { waiter: "nvme0" }).then(() => {
      isIdle = true;
    });
    expect(line.fenceAt(1).waiters()).toEqual(["nvme0"]);
    lost.close();
    await settleTasks();
    expect(isIdle).toBe(false);

    line.increment(1);
    await wait;

    expect(isIdle).toBe(true);
  });

  it("idle takes a limit and an abort signal, and leaves nothing behind", async () => {
    const { reservation, timeline, add, clock } = lockedReservation();
    const fence = timeline().next();
    add(fence, "read");
    const abort = new AbortController();
    const limited = reservation.idle("read", { timeoutNs: 100 });
    const aborted = reservation.idle("read", { signal: abort.signal });

    clock.advance(100);
    abort.abort();

    await expect(limited).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    await expect(aborted).rejects.toMatchObject({ code: "WAIT_INTERRUPTED" });
    expect([fence.waiters(), clock.pendingCount]).toEqual([[], 0]);
  });

  it("a singleton is none, the one fence, or an array of all", () => {
    const { reservation, timeline, add } = lockedReservation();
    expect(reservation.getSingleton("bookkeep")).toBeUndefined();
    const [one, two] = [timeline().next(), timeline().next()];
    add(one, "write");
    expect(reservation.getSingleton("write")).toBe(one);
    add(two, "read");

    const all = reservation.getSingleton("read");

    expect(all).toBeInstanceOf(FenceArray);
    expect((all as FenceArray).members).toEqual([one, two]);
  });

  it("passes a deadline on to the fences of the level", () => {
    const { reservation, timeline, add } = lockedReservation();
    const [write, read] = [timeline().next(), timeline().next()];
    add(write, "write");
    add(read, "read");

    reservation.setDeadline("write", 30);

    expect([write.deadlineNs, read.deadlineNs]).toEqual([30, undefined]);
  });

  it("describes what is unfinished up to readers", () => {
    const { reservation, timeline, add } = lockedReservation();
    for (const usage of USAGES) add(timeline().fenceAt(4), usage);

    expect(reservation.describe()).toEqual([
      "kernel fence: sw_sync ring seq 4 unsignaled",
      "write fence: sw_sync ring seq 4 unsignaled",
      "read fence: sw_sync ring seq 4 unsignaled",
    ]);
  });

  it("asks drivers whether fences are done that nobody waits for", () => {
    const { reservation, domain, add } = lockedReservation();
    let isDone = false;
    const operations = { signaled: () => isDone };
    const context = domain.createContext({ driverName: "d", timelineName: "t", operations });
    add(new SoftwareFence(context, 1), "write");
    expect(reservation.testSignaled("write")).toBe(false);

    isDone = true;

    expect(reservation.testSignaled("write")).toBe(true);
  });

  it("is empty once closed", () => {
    const { reservation, timeline, add } = lockedReservation();
    add(timeline().next(), "kernel");

    reservation.close();

    expect(reservation.testSignaled("bookkeep")).toBe(true);
  });
});

describe("reservation against a reference model", () => {
  const TIMELINES = 4;
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ add: fc.nat(TIMELINES - 1), level: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ again: fc.nat(TIMELINES - 1), level: fc.nat(3) }) },
    { weight: 3, arbitrary: fc.record({ signal: fc.nat(TIMELINES - 1) }) },
    { weight: 1, arbitrary: fc.record({ relock: fc.constant(true) }) },
  );

  /** Everything that was ever added, with nothing replaced or forgotten. */
  interface Added {
    readonly fence: SoftwareFence;
    readonly level: number;
  }

  /** Waiting for what the query gives must be waiting for all that was added, and for no more. */
  function checkLevel(reservation: Reservation, added: Added[], level: number): void {
    const found = reservation.getFences(USAGES[level] ?? "kernel");
    const relevant = added.filter((entry) => entry.level <= level && !entry.fence.isSignaled);
    for (const { fence } of relevant) {
      const isCovered = found.some(
        (other) => other.context === fence.context && other.seqno >= fence.seqno,
      );
      expect(isCovered).toBe(true);
    }
    for (const fence of found) {
      expect(relevant.map((entry) => entry.fence)).toContain(fence);
    }
    expect(reservation.testSignaled(USAGES[level] ?? "kernel")).toBe(relevant.length === 0);
  }

  it("at every level a wait covers all unfinished work of it, and no work of weaker usage", () => {
    void fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { reservation, timeline, add, owner } = lockedReservation();
        const lines = Array.from({ length: TIMELINES }, timeline);
        const newest: (SoftwareFence | undefined)[] = [];
        const added: Added[] = [];
        const put = (fence: SoftwareFence | undefined, level: number): void => {
          if (fence === undefined) return;
          add(fence, USAGES[level] ?? "kernel");
          added.push({ fence, level });
        };
        for (const action of steps) {
          if ("add" in action) {
            newest[action.add] = lines[action.add]?.next();
            put(newest[action.add], action.level);
          } else if ("again" in action) {
            put(newest[action.again], action.level);
          } else if ("signal" in action) {
            lines[action.signal]?.increment(1);
          } else {
            reservation.unlock(owner);
            reservation.tryLock(owner);
          }
          for (let level = 0; level < USAGES.length; level++) checkLevel(reservation, added, level);
        }
        expect(stored(reservation).length).toBeLessThanOrEqual(TIMELINES * USAGES.length * 2);
      }),
    );
  });
});
