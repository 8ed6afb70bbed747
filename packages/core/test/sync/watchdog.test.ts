/**
 * Watchdog and signalling sections: what finds fences that never signal, and why they would not.
 */
import {
  FenceArray,
  FenceChain,
  FenceWatchdog,
  type LateFence,
  LockOwner,
  Reservation,
  SyncFile,
  Timeline,
} from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import { settleTasks, testDomain } from "./virtual-clock.ts";

const LIMIT_NS = 1000;

function watched(endLate = false) {
  const { domain, clock } = testDomain();
  const late: LateFence[] = [];
  const onLate = (fence: LateFence): void => void late.push(fence);
  const watchdog = new FenceWatchdog(domain, { limitNs: LIMIT_NS, onLate, endLate });
  const line = new Timeline(domain, { driverName: "gpu0", timelineName: "copy" });
  return { domain, clock, late, watchdog, line };
}

describe("watchdog", () => {
  it("names a late fence and who waits for it, once, and leaves it alone", () => {
    const { clock, late, line } = watched();
    clock.advance(5);
    using file = SyncFile.create(line.next());
    void file.signaled({ waiter: "display" });

    clock.advance(LIMIT_NS - 1);
    expect(late).toEqual([]);
    clock.advance(10 * LIMIT_NS);

    const { driverName, timelineName, seqno, waiters, sinceNs, isEnded } = late[0] as LateFence;
    expect([driverName, timelineName, seqno, waiters]).toEqual(["gpu0", "copy", 1, ["display"]]);
    expect([sinceNs, isEnded, late.length, file.status]).toEqual([5, false, 1, 0]);
  });

  it("says nothing of fences that signal in time, or are found done when asked", () => {
    const { clock, late, line } = watched();
    for (let round = 0; round < 10; round++) {
      SyncFile.create(line.next()).close();
      clock.advance(LIMIT_NS / 2);
      line.increment(1);
    }
    clock.advance(2 * LIMIT_NS);

    expect([late, clock.pendingCount]).toEqual([[], 0]);
  });

  it("ends a late fence with ETIMEDOUT when told to, so that its waiters go on", async () => {
    const { clock, late, line } = watched(true);
    using file = SyncFile.create(line.next());
    const wait = file.signaled();

    clock.advance(LIMIT_NS);

    expect((await wait)?.errno).toBe("ETIMEDOUT");
    expect([late[0]?.isEnded, file.status]).toEqual([true, -110]);
  });

  it("watches what is added to a reservation, from when it was added", () => {
    const { clock, domain, late, line } = watched();
    const reservation = new Reservation(domain, "buffer");
    reservation.tryLock(new LockOwner("submit"));
    reservation.reserveFences(2);
    reservation.addFence(line.next(), "write");
    clock.advance(600);
    reservation.addFence(new Timeline(domain, { timelineName: "other" }).next(), "read");

    clock.advance(500);
    expect(late.map((fence) => fence.timelineName)).toEqual(["copy"]);
    clock.advance(500);

    expect(late.map((fence) => fence.timelineName)).toEqual(["copy", "other"]);
    expect(late.map((fence) => fence.sinceNs)).toEqual([0, 600]);
  });

  it("watches the members of a container and names those who wait for the container", () => {
    const { clock, domain, late, line } = watched();
    const other = new Timeline(domain, { timelineName: "other" });
    const array = new FenceArray(domain, [line.next(), other.next()]);
    const chain = new FenceChain(undefined, array, 1);
    void chain.signaled({ waiter: "encoder" });
    SyncFile.create(chain).close();
    line.increment(1);

    clock.advance(LIMIT_NS);

    expect(late.map(({ timelineName, waiters }) => [timelineName, waiters])).toEqual([
      ["other", ["encoder"]],
    ]);
  });

  it("keeps a fence's first time when it is published again", () => {
    const { clock, late, line } = watched();
    const fence = line.next();
    SyncFile.create(fence).close();
    clock.advance(LIMIT_NS / 2);
    SyncFile.create(fence).close();

    clock.advance(LIMIT_NS / 2);

    expect(late).toHaveLength(1);
  });

  it("holds on to few signaled fences, however many are published within the limit", () => {
    const { line, watchdog } = watched();
    for (let round = 0; round < 10_000; round++) {
      SyncFile.create(line.next()).close();
      line.increment(1);
    }

    expect(watchdog.watchedCount).toBeLessThan(1000);
  });

  it("stops at the end of its scope and makes room for another", () => {
    const { domain, clock, watchdog, line } = watched();
    SyncFile.create(line.next()).close();
    const options = { limitNs: 1, onLate: () => undefined };
    expect(() => new FenceWatchdog(domain, options)).toThrow(
      expect.objectContaining({ code: "WRONG_ORDER" }),
    );

    watchdog[Symbol.dispose]();

    expect(clock.pendingCount).toBe(0);
    using again = new FenceWatchdog(domain, options);
    expect(again.watchedCount).toBe(0);
  });
});

describe("signalling section", () => {
  const REFUSED = { code: "WAIT_IN_SIGNALLING", errno: "EDEADLK" };

  function section() {
    const { domain } = testDomain();
    const fence = new Timeline(domain, { timelineName: "ring" }).next();
    return { domain, fence, buffer: new Reservation(domain, "buffer") };
  }

  it("refuses to wait for a fence or a reservation lock, with the section's name", async () => {
    const { domain, fence, buffer } = section();
    const open = domain.signalling.begin("copy done");

    const waits = [fence.signaled(), buffer.lock(new LockOwner("irq"))];
    domain.signalling.end(open);

    for (const wait of waits) await expect(wait).rejects.toMatchObject(REFUSED);
    await expect(waits[0]).rejects.toThrow(/"copy done"/);
    expect(buffer.isLocked).toBe(false);
  });

  it("allows everything that does not wait", () => {
    const { domain, fence, buffer } = section();
    const open = domain.signalling.begin("copy done");

    expect([buffer.tryLock(new LockOwner("irq")), fence.poll(), fence.signal()]).toEqual([
      true,
      false,
      true,
    ]);
    domain.signalling.end(open);
  });

  it("nests; only the innermost can end", async () => {
    const { domain, fence } = section();
    const outer = domain.signalling.begin("outer");
    const inner = domain.signalling.begin("inner");
    expect(() => domain.signalling.end(outer)).toThrow(
      expect.objectContaining({ code: "WRONG_ORDER" }),
    );
    domain.signalling.end(inner);
    await expect(fence.signaled()).rejects.toThrow(/"outer"/);

    domain.signalling.end(outer);
    fence.signal();

    await expect(fence.signaled()).resolves.toBeUndefined();
  });

  it("follows an asynchronous task through its awaits, and leaves other tasks alone", async () => {
    const { domain, fence, buffer } = section();
    const job = domain.signalling.run("copy job", async () => {
      await settleTasks();
      await buffer.lock(new LockOwner("job"));
    });
    const other = fence.signaled();
    await expect(job).rejects.toMatchObject(REFUSED);

    fence.signal();

    await expect(other).resolves.toBeUndefined();
  });
});
