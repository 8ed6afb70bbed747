/**
 * Acquire: wait-die locks of reservations, one rule a test, then tasks at random.
 */
import {
  AcquireContext,
  type LockHolder,
  LockOwner,
  lockAll,
  Reservation,
  type WaitOptions,
} from "@peerbuf/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomFrom, settleTasks, testDomain } from "./virtual-clock.ts";

/** Buffers a, b, c, ... and contexts whose first is the oldest. */
function buffers(count: number) {
  const { domain, clock } = testDomain();
  const make = (_: unknown, index: number): Reservation =>
    new Reservation(domain, String.fromCharCode(97 + index));
  const context = (label: string): AcquireContext =>
    new AcquireContext(domain, new LockOwner(label));
  const list = Array.from({ length: count }, make);
  return { domain, clock, context, list };
}

function twoBuffers() {
  const { list, ...rest } = buffers(2);
  const [a, b] = list;
  if (a === undefined || b === undefined) throw new Error("two buffers were made");
  return { ...rest, a, b };
}

/** A lock attempt whose outcome can be read at any time. */
function attempt(reservation: Reservation, holder: LockHolder, options?: WaitOptions) {
  const state = { outcome: "waiting" };
  const done = reservation.lock(holder, options).then(
    () => {
      state.outcome = "locked";
    },
    (error: { code: string }) => {
      state.outcome = error.code;
    },
  );
  return { state, done };
}

describe("wait-die lock", () => {
  it("a context that holds nothing waits, even for an older holder", async () => {
    const { a, context } = twoBuffers();
    const [older, younger] = [context("older"), context("younger")];
    await a.lock(older);
    const waiting = attempt(a, younger);
    await settleTasks();
    expect([waiting.state.outcome, a.lockWaiters]).toEqual(["waiting", ["younger"]]);

    a.unlock(older);
    await waiting.done;

    expect([waiting.state.outcome, a.holder]).toEqual(["locked", younger]);
  });

  it("a younger context that holds something backs off from an older holder", async () => {
    const { a, b, context } = twoBuffers();
    const [older, younger] = [context("older"), context("younger")];
    await a.lock(older);
    await b.lock(younger);

    await expect(a.lock(younger)).rejects.toMatchObject({
      code: "LOCK_BACK_OFF",
      errno: "EDEADLK",
      conflict: { wantedBy: "younger", holding: ["b"], lock: "a", heldBy: "older" },
    });
    expect(younger.contended?.label).toBe("a");
  });

  it("an older context that holds something waits for a younger holder", async () => {
    const { a, b, context } = twoBuffers();
    const [older, younger] = [context("older"), context("younger")];
    await a.lock(older);
    await b.lock(younger);
    const waiting = attempt(b, older);
    await settleTasks();
    expect(waiting.state.outcome).toBe("waiting");

    b.unlock(younger);
    await waiting.done;

    expect(b.holder).toBe(older);
  });

  it("a younger context that holds something backs off from an older one in the queue", async () => {
    const { list, context } = buffers(2);
    const [a, b] = list as [Reservation, Reservation];
    const [older, middle, youngest] = [context("older"), context("middle"), context("youngest")];
    await a.lock(youngest);
    const waiting = attempt(a, older);
    await b.lock(middle);

    await expect(a.lock(middle)).rejects.toMatchObject({ code: "LOCK_BACK_OFF" });
    a.unlock(youngest);
    await waiting.done;

    expect(a.holder).toBe(older);
  });

  it("an older context that queues makes younger waiters back off if they hold something", async () => {
    const { list, domain } = buffers(3);
    const [a, b, c] = list as [Reservation, Reservation, Reservation];
    const context = (label: string): AcquireContext =>
      new AcquireContext(domain, new LockOwner(label));
    const [older, holding, empty] = [context("older"), context("holding"), context("empty")];
    const youngest = context("youngest");
    await a.lock(youngest);
    await b.lock(holding);
    await c.lock(older);
    const dies = attempt(a, holding);
    const stays = attempt(a, empty);
    await settleTasks();

    const first = attempt(a, older);
    await dies.done;

    expect([dies.state.outcome, stays.state.outcome]).toEqual(["LOCK_BACK_OFF", "waiting"]);
    expect([first.state.outcome, a.lockWaiters]).toEqual(["waiting", ["older", "empty"]]);
  });

  it("contexts are served by age, owners without a context in order of arrival", async () => {
    const { a, domain } = twoBuffers();
    const context = (label: string): AcquireContext =>
      new AcquireContext(domain, new LockOwner(label));
    const [first, second, third] = [context("first"), context("second"), context("third")];
    const [plain, holder] = [new LockOwner("plain"), new LockOwner("holder")];
    await a.lock(holder);

    for (const waiter of [third, plain, first, second]) void attempt(a, waiter);
    await settleTasks();

    expect(a.lockWaiters).toEqual(["first", "second", "third", "plain"]);
  });

  it("a context waits for a holder without one", async () => {
    const { a, b, context } = twoBuffers();
    const plain = new LockOwner("plain");
    const holding = context("holding");
    await a.lock(plain);
    await b.lock(holding);
    const waiting = attempt(a, holding);

    a.unlock(plain);
    await waiting.done;

    expect(waiting.state.outcome).toBe("locked");
  });

  it("the same context twice is EALREADY", async () => {
    const { a, context } = twoBuffers();
    const twice = context("twice");
    await a.lock(twice);

    await expect(a.lock(twice)).rejects.toMatchObject({
      code: "LOCK_HELD_ALREADY",
      errno: "EALREADY",
    });
  });

  it("after a back-off: unlock everything, then lockSlow of that one, which never backs off", async () => {
    const { list, context } = buffers(3);
    const [a, b, c] = list as [Reservation, Reservation, Reservation];
    const [older, younger] = [context("older"), context("younger")];
    await a.lock(older);
    await b.lock(younger);
    await a.lock(younger).catch(() => undefined);
    await expect(a.lockSlow(younger)).rejects.toMatchObject({ code: "WRONG_ORDER" });
    await expect(c.lock(younger)).rejects.toMatchObject({ code: "WRONG_ORDER" });
    b.unlock(younger);

    const slow = a.lockSlow(younger);
    a.unlock(older);
    await slow;

    expect([a.holder, younger.contended]).toEqual([younger, undefined]);
    await b.lock(younger);
  });

  it("lockSlow is for the contended lock only", async () => {
    const { a, context } = twoBuffers();

    await expect(a.lockSlow(context("eager"))).rejects.toMatchObject({ code: "WRONG_ORDER" });
  });

  it("trying takes a free lock and never waits", () => {
    const { a, context } = twoBuffers();
    const [one, two] = [context("one"), context("two")];

    expect([a.tryLock(one), a.tryLock(one), a.tryLock(two)]).toEqual([true, false, false]);
    expect(one.heldCount).toBe(1);
  });

  it("only the holder can unlock", async () => {
    const { a, context } = twoBuffers();
    await a.lock(context("holder"));

    expect(() => a.unlock(new LockOwner("other"))).toThrow(
      expect.objectContaining({
        code: "LOCK_NOT_HELD",
        message: expect.stringMatching(/"other".*"holder"/),
      }),
    );
  });

  it("an abort or a limit ends the wait, and nobody gets the lock by it later", async () => {
    const { a, clock, context } = twoBuffers();
    const holder = context("holder");
    await a.lock(holder);
    const abort = new AbortController();
    const aborted = attempt(a, context("aborted"), { signal: abort.signal });
    const limited = attempt(a, context("limited"), { timeoutNs: 50 });

    abort.abort();
    clock.advance(50);
    await Promise.all([aborted.done, limited.done]);
    a.unlock(holder);

    expect([aborted.state.outcome, limited.state.outcome]).toEqual([
      "WAIT_INTERRUPTED",
      "WAIT_TIMED_OUT",
    ]);
    expect([a.isLocked, clock.pendingCount]).toEqual([false, 0]);
  });
});

describe("an attempt at a deadlock", () => {
  it("a second lock without a context is refused and names both holders", async () => {
    const { a, b } = twoBuffers();
    const [copy, evict] = [new LockOwner("copy"), new LockOwner("evict")];
    await a.lock(copy);
    await b.lock(evict);

    await expect(b.lock(copy)).rejects.toMatchObject({
      code: "LOCK_DEADLOCK",
      errno: "EDEADLK",
      message: expect.stringMatching(/"copy" holds "a" and wants "b" \(held by "evict"\)/),
    });
  });

  it("waiting for a lock of one's own is refused", async () => {
    const { a } = twoBuffers();
    const owner = new LockOwner("copy");
    await a.lock(owner);

    await expect(a.lock(owner)).rejects.toMatchObject({
      code: "LOCK_DEADLOCK",
      conflict: { wantedBy: "copy", heldBy: "copy" },
    });
  });

  it("a context is refused while its owner holds a lock outside of it", async () => {
    const { a, b, domain } = twoBuffers();
    const owner = new LockOwner("copy");
    await a.lock(owner);

    await expect(b.lock(new AcquireContext(domain, owner))).rejects.toMatchObject({
      code: "LOCK_DEADLOCK",
    });
  });

  it("taking more locks than listed at first is refused, as two tasks could do it in turn", async () => {
    const { a, b } = twoBuffers();
    const [copy, evict] = [new LockOwner("copy"), new LockOwner("evict")];
    using first = await lockAll([a], copy);
    using other = await lockAll([b], evict);

    await expect(lockAll([b], copy)).rejects.toMatchObject({
      code: "LOCK_DEADLOCK",
      message: expect.stringMatching(/"copy" holds "a" and wants "b" \(held by "evict"\)/),
    });
    expect([first.locked, other.locked]).toEqual([[a], [b]]);
  });

  it("a context of another domain is refused, as its age says nothing here", async () => {
    const { a } = twoBuffers();
    const stranger = twoBuffers().context("stranger");

    await expect(a.lock(stranger)).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
    expect(() => a.tryLock(stranger)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });

  it("a second wait of one owner is refused: a task waits for one lock at a time", async () => {
    const { a, b, context } = twoBuffers();
    const task = context("task");
    await a.lock(context("holder"));
    void attempt(a, task);

    await expect(b.lock(task)).rejects.toMatchObject({ code: "WRONG_ORDER" });
  });

  it("a context that is done takes no more locks, and cannot finish while it holds one", async () => {
    const { a, b, context } = twoBuffers();
    const task = context("task");
    await a.lock(task);
    task.done();

    await expect(b.lock(task)).rejects.toMatchObject({ code: "WRONG_ORDER" });
    expect(() => task.finish()).toThrow(expect.objectContaining({ code: "WRONG_ORDER" }));
    a.unlock(task);
    task.finish();
  });
});

describe("lockAll", () => {
  it("takes all, each once, and gives them back at the end of the scope", async () => {
    const { a, b } = twoBuffers();
    {
      using guard = await lockAll([a, b, a], new LockOwner("copy"));
      expect(guard.locked).toEqual([a, b]);
      expect([a.isLocked, b.isLocked]).toEqual([true, true]);
    }

    expect([a.isLocked, b.isLocked]).toEqual([false, false]);
  });

  it("of nothing holds nothing", async () => {
    using guard = await lockAll([], new LockOwner("copy"));

    expect(guard.locked).toEqual([]);
  });

  it("backs off, waits for the contended lock first and wins in the end", async () => {
    const { a, b, context } = twoBuffers();
    const older = context("older");
    await b.lock(older);
    const younger = lockAll([a, b], new LockOwner("younger"));
    await settleTasks();
    expect(a.isLocked).toBe(false); // Given back, so that the older one can have it.

    await a.lock(older);
    a.unlock(older);
    b.unlock(older);
    using guard = await younger;

    expect(guard.locked).toEqual([b, a]);
  });

  it("holds nothing after a wait that ended early, and its limit counts for all together", async () => {
    const { list, clock, context } = buffers(3);
    const [a, b, c] = list as [Reservation, Reservation, Reservation];
    const [one, two] = [context("one"), context("two")];
    await b.lock(one);
    await c.lock(two);
    const late = lockAll([a, b, c], new LockOwner("late"), { timeoutNs: 100 });
    await settleTasks();
    clock.advance(60);
    b.unlock(one);
    await settleTasks();
    clock.advance(40);

    await expect(late).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    expect([a.isLocked, b.isLocked, clock.pendingCount]).toEqual([false, false, 0]);
  });

  it("a context can go again after a round that ended early", async () => {
    const { a, b, clock, context } = twoBuffers();
    const [older, younger] = [context("older"), context("younger")];
    await b.lock(older);
    const early = lockAll([a, b], younger, { timeoutNs: 1 });
    await settleTasks();
    clock.advance(1);
    await expect(early).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    b.unlock(older);

    using guard = await lockAll([a, b], younger);

    expect([guard.locked, younger.heldCount]).toEqual([[a, b], 2]);
  });

  it("refuses a context that holds something already", async () => {
    const { a, b, context } = twoBuffers();
    const task = context("task");
    await a.lock(task);

    await expect(lockAll([b], task)).rejects.toMatchObject({ code: "WRONG_ORDER" });
  });

  it("a second unlock is refused", async () => {
    const { a } = twoBuffers();
    const guard = await lockAll([a], new LockOwner("copy"));
    guard.unlock();

    expect(() => guard.unlock()).toThrow(expect.objectContaining({ code: "WRONG_ORDER" }));
  });

  it("two tasks with opposite orders both finish", async () => {
    const { a, b } = twoBuffers();
    const finished: string[] = [];
    const task = async (name: string, order: Reservation[]): Promise<void> => {
      using guard = await lockAll(order, new LockOwner(name));
      expect(guard.locked).toHaveLength(2);
      await undefined;
      finished.push(name);
    };

    await Promise.all([task("ab", [a, b]), task("ba", [b, a])]);

    expect(finished.sort()).toEqual(["ab", "ba"]);
  });
});

describe("random tasks", () => {
  const plan = fc.record({
    seed: fc.integer(),
    bufferCount: fc.integer({ min: 1, max: 6 }),
    taskCount: fc.integer({ min: 2, max: 12 }),
  });
  const ROUNDS = 4;

  /** One task: takes random sets in random order, alone in each while it holds it. */
  async function work(list: Reservation[], name: string, seed: number, inside: Set<Reservation>) {
    const random = randomFrom(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const wanted = list.map(() => list[random(list.length)] as Reservation);
      const guard =
        random(4) === 0 ? await lockOne(wanted, name) : await lockAll(wanted, new LockOwner(name));
      for (const lock of guard.locked as Reservation[]) {
        expect(inside.has(lock)).toBe(false);
        inside.add(lock);
      }
      for (let pause = random(4); pause > 0; pause--) await undefined;
      for (const lock of guard.locked as Reservation[]) inside.delete(lock);
      guard.unlock();
    }
  }

  async function lockOne(wanted: Reservation[], name: string) {
    const owner = new LockOwner(name);
    const locked = wanted.slice(0, 1);
    for (const lock of locked) await lock.lock(owner);
    return { locked, unlock: () => locked.map((lock) => lock.unlock(owner)) };
  }

  it("never deadlock, are alone inside, and all finish", async () => {
    await fc.assert(
      fc.asyncProperty(plan, async ({ seed, bufferCount, taskCount }) => {
        const { list } = buffers(bufferCount);
        const inside = new Set<Reservation>();
        let finished = 0;
        const tasks = Array.from({ length: taskCount }, async (_, index) => {
          await work(list, `task ${index}`, seed + index, inside);
          finished++;
        });
        await Promise.race([Promise.all(tasks), settleTasks()]);

        // No task waits for anything but locks, so one turn of the event loop is enough for all.
        expect([finished, list.filter((lock) => lock.isLocked)]).toEqual([taskCount, []]);
      }),
    );
  });

  it("finish or leave cleanly when waits are aborted at random", async () => {
    await fc.assert(
      fc.asyncProperty(plan, async ({ seed, bufferCount, taskCount }) => {
        const { list, clock } = buffers(bufferCount);
        const random = randomFrom(seed);
        const task = async (index: number): Promise<void> => {
          const wanted = list.map(() => list[random(list.length)] as Reservation);
          const options = { timeoutNs: 1 + random(20) };
          const guard = await lockAll(wanted, new LockOwner(`task ${index}`), options).catch(
            () => undefined,
          );
          for (let pause = random(6); pause > 0; pause--) {
            clock.advance(random(5));
            await undefined;
          }
          guard?.unlock();
        };

        await Promise.all(Array.from({ length: taskCount }, (_, index) => task(index)));

        expect(list.filter((lock) => lock.isLocked || lock.lockWaiters.length > 0)).toEqual([]);
        expect(clock.pendingCount).toBe(0);
      }),
    );
  });
});
