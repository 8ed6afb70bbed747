/**
 * Fence: the checks of Linux's drivers/dma-buf/st-dma-fence.c, then what is special here.
 */
import { getEventListeners } from "node:events";
import {
  type Fence,
  type FenceContext,
  FenceDomain,
  FenceError,
  type FenceOperations,
  isLater,
  isLaterOrSame,
  laterOf,
  SoftwareFence,
  stubFence,
  waitForAll,
  waitForAny,
} from "@peerbuf/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { settleTasks, type TestDomain, testDomain } from "./virtual-clock.ts";

interface Mock extends TestDomain {
  readonly fence: SoftwareFence;
  create(seqno: number): SoftwareFence;
}

function mockFence(operations: FenceOperations = {}): Mock {
  const { clock, domain } = testDomain();
  const names = { driverName: "mock", timelineName: "mock-ring" };
  const context = domain.createContext({ ...names, operations });
  const create = (seqno: number): SoftwareFence => new SoftwareFence(context, seqno);
  return { clock, domain, create, fence: create(1) };
}

describe("st-dma-fence", () => {
  it("sanitycheck: a fence can be created, enabled and signaled", () => {
    const { fence } = mockFence();

    fence.enableSignaling();

    expect(fence.signal()).toBe(true);
  });

  it("test_signaling: signals once; the second signal reports an error", () => {
    const { fence } = mockFence();
    expect(fence.isSignaled).toBe(false);

    expect(fence.signal()).toBe(true);
    expect(fence.isSignaled).toBe(true);
    expect(fence.signal()).toBe(false);
  });

  it("test_add_callback: the callback runs on signal", () => {
    const { fence } = mockFence();
    const seen: Fence[] = [];
    expect(fence.addCallback((signaled) => seen.push(signaled))).toBe("queued");

    fence.signal();

    expect(seen).toEqual([fence]);
  });

  it("test_late_add_callback: an add after the signal is refused and the callback does not run", () => {
    const { fence } = mockFence();
    let calls = 0;
    fence.signal();

    expect(fence.addCallback(() => calls++)).toBe("signaled");
    expect(calls).toBe(0);
  });

  it("test_rm_callback: a removed callback does not run", () => {
    const { fence } = mockFence();
    let calls = 0;
    const callback = (): void => void calls++;
    fence.addCallback(callback);

    expect(fence.removeCallback(callback)).toBe(true);
    fence.signal();

    expect(calls).toBe(0);
  });

  it("test_late_rm_callback: remove after the signal says false, and the callback did run", () => {
    const { fence } = mockFence();
    let calls = 0;
    const callback = (): void => void calls++;
    fence.addCallback(callback);
    fence.signal();

    expect(fence.removeCallback(callback)).toBe(false);
    expect(calls).toBe(1);
  });

  it("test_status: 0 before, non-zero after", () => {
    const { fence } = mockFence();
    expect(fence.status).toBe(0);

    fence.signal();

    expect(fence.status).toBe(1);
  });

  it("test_error: an error shows only once signaled, and then is the status", () => {
    const { fence } = mockFence();
    fence.setError(new FenceError("EIO", "the ring hung"));
    expect(fence.status).toBe(0);
    expect(fence.error).toBeUndefined();

    fence.signal();

    expect(fence.status).toBe(-5);
    expect(fence.error).toMatchObject({ code: "FENCE_FAILED", errno: "EIO" });
  });

  it("test_wait: a wait of no time is not complete before the signal, and is after", async () => {
    const { fence } = mockFence();
    const early = fence.signaled({ timeoutNs: 0 });
    await expect(early).rejects.toMatchObject({ code: "WAIT_TIMED_OUT", errno: "ETIME" });

    fence.signal();

    await expect(fence.signaled({ timeoutNs: 0 })).resolves.toBeUndefined();
  });

  it("test_wait_timeout: one tick times out; a signal by timer completes a wait of two", async () => {
    const { clock, fence } = mockFence();
    const first = fence.signaled({ timeoutNs: 1 });
    clock.advance(1);
    await expect(first).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });

    clock.schedule(1, () => fence.signal());
    const second = fence.signaled({ timeoutNs: 2 });
    clock.advance(1);

    await expect(second).resolves.toBeUndefined();
    expect(fence.timestampNs).toBe(2);
    expect(clock.pendingCount).toBe(0);
  });

  it("test_stub: 64 stub fences are all signaled", () => {
    const { domain } = testDomain();

    const stubs = Array.from({ length: 64 }, () => stubFence(domain));

    for (const stub of stubs) {
      expect([stub.isSignaled, stub.status, stub.context.id, stub.seqno]).toEqual([true, 1, 0, 0]);
      expect([stub.driverName, stub.timelineName]).toEqual(["stub", "stub"]);
    }
  });

  for (const order of ["before", "after"] as const) {
    it(`race_signal_callback: a queued callback always runs, signaling ${order} adding`, async () => {
      const { create } = mockFence();
      const published: (Fence | undefined)[] = [undefined, undefined];
      let [queued, refused, ran] = [0, 0, 0];
      const addTo = (other: Fence | undefined): void => {
        if (other === undefined) return;
        const answer = other.addCallback(() => ran++);
        answer === "queued" ? queued++ : refused++;
      };
      const racer = async (self: number): Promise<void> => {
        for (let round = 0; round < 5000; round++) {
          const own = create(round);
          published[self] = own;
          await (round % 3 === self ? undefined : Promise.resolve().then(() => undefined));
          if (order === "before") own.signal();
          addTo(published[1 - self]);
          await undefined;
          own.signal();
        }
      };

      await Promise.all([racer(0), racer(1)]);

      expect(ran).toBe(queued);
      expect(queued + refused).toBeGreaterThan(5000);
    });
  }
});

describe("fence order", () => {
  const context = (seqnoBits: 32 | 64): FenceContext =>
    testDomain().domain.createContext({ driverName: "d", timelineName: "t", seqnoBits });
  const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

  it("32-bit seqnos wrap: up to 2^31 - 1 ahead is later, wherever the counter stands", () => {
    const ring = context(32);
    void fc.assert(
      fc.property(uint32, fc.integer({ min: 1, max: 0x7fff_ffff }), (seqno, ahead) => {
        const one = new SoftwareFence(ring, seqno);
        const other = new SoftwareFence(ring, (seqno + ahead) % 2 ** 32);
        expect([isLater(other, one), isLater(one, other)]).toEqual([true, false]);
      }),
    );
  });

  it("32-bit seqnos exactly 2^31 apart are not later either way", () => {
    const ring = context(32);
    void fc.assert(
      fc.property(uint32, (seqno) => {
        const one = new SoftwareFence(ring, seqno);
        const other = new SoftwareFence(ring, (seqno + 2 ** 31) % 2 ** 32);
        expect([isLater(other, one), isLater(one, other)]).toEqual([false, false]);
      }),
    );
  });

  it("64-bit seqnos compare as plain numbers up to 2^53 - 1", () => {
    const chain = context(64);
    const seqno = fc.maxSafeNat();
    void fc.assert(
      fc.property(seqno, seqno, (low, high) => {
        const [one, other] = [new SoftwareFence(chain, low), new SoftwareFence(chain, high)];
        expect(isLater(other, one)).toBe(high > low);
      }),
    );
  });

  it("fences of two contexts are never later, not even with the same id in two domains", () => {
    const one = new SoftwareFence(context(32), 1);
    const other = new SoftwareFence(context(32), 2);

    expect(one.context.id).toBe(other.context.id);
    expect(isLater(other, one)).toBe(false);
  });

  it("later-or-same means the same object; an equal seqno is not the same", () => {
    const ring = context(32);
    const [one, twin] = [new SoftwareFence(ring, 7), new SoftwareFence(ring, 7)];

    expect(isLaterOrSame(one, one)).toBe(true);
    expect(isLaterOrSame(one, twin)).toBe(false);
  });

  it("the later of two is none when it is signaled already", () => {
    const ring = context(32);
    const [early, late] = [new SoftwareFence(ring, 1), new SoftwareFence(ring, 2)];
    expect(laterOf(early, late)).toBe(late);

    late.signal();

    expect(laterOf(early, late)).toBeUndefined();
  });

  it("refuses a seqno that is no whole number from 0 to 2^53 - 1", () => {
    const ring = context(32);
    for (const seqno of [-1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => new SoftwareFence(ring, seqno)).toThrow(
        expect.objectContaining({ code: "ARGUMENT_INVALID" }),
      );
    }
  });
});

describe("fence", () => {
  it("runs callbacks in the order they were added, whatever was removed in between", () => {
    const { fence } = mockFence();
    const seen: number[] = [];
    const callbacks = [0, 1, 2, 3].map((number) => () => void seen.push(number));
    for (const callback of callbacks) fence.addCallback(callback);
    if (callbacks[0]) fence.removeCallback(callbacks[0]);
    if (callbacks[2]) fence.removeCallback(callbacks[2]);
    fence.addCallback(() => seen.push(4));

    fence.signal();

    expect(seen).toEqual([1, 3, 4]);
  });

  it("refuses a callback that is queued already and keeps it queued once", () => {
    const { fence } = mockFence();
    let calls = 0;
    const callback = (): void => void calls++;
    fence.addCallback(callback);

    expect(() => fence.addCallback(callback)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
    fence.signal();

    expect(calls).toBe(1);
  });

  it("calls every callback though some throw, and then tells the signaler", () => {
    const { fence } = mockFence();
    const seen: string[] = [];
    const broken = new Error("broken");
    fence.addCallback(() => seen.push("first"));
    fence.addCallback(() => {
      throw broken;
    });
    fence.addCallback(() => seen.push("last"));

    expect(() => fence.signal()).toThrow(
      expect.objectContaining({ code: "FENCE_CALLBACK_FAILED", cause: broken }),
    );
    expect(seen).toEqual(["first", "last"]);
    expect(fence.status).toBe(1);
  });

  it("brings what a callback of a nested signal threw out of the outermost signal", () => {
    const { create } = mockFence();
    const [outer, inner] = [create(1), create(2)];
    const seen: string[] = [];
    inner.addCallback(() => {
      throw new Error("inner");
    });
    outer.addCallback(() => {
      inner.signal();
      seen.push("after the nested signal");
    });

    expect(() => outer.signal()).toThrow(
      expect.objectContaining({ code: "FENCE_CALLBACK_FAILED" }),
    );
    expect(seen).toEqual(["after the nested signal"]);
  });

  it("asks the driver to enable signaling once, and only when somebody wants to know", () => {
    let calls = 0;
    const { fence } = mockFence({ enableSignaling: () => ++calls > 0 });
    expect(calls).toBe(0);

    fence.addCallback(() => undefined);
    fence.addCallback(() => undefined);
    fence.enableSignaling();

    expect(calls).toBe(1);
  });

  it("signals at once when enabling finds the work finished, and refuses the callback", () => {
    const { fence } = mockFence({ enableSignaling: () => false });

    expect(fence.addCallback(() => undefined)).toBe("signaled");
    expect(fence.status).toBe(1);
  });

  it("does not ask the driver to enable a signaled fence", () => {
    let calls = 0;
    const { fence } = mockFence({ enableSignaling: () => ++calls > 0 });
    fence.signal();

    fence.enableSignaling();

    expect(calls).toBe(0);
  });

  it("polling asks the driver and signals what is done; reading the flag does not", () => {
    let isDone = false;
    const { fence, clock } = mockFence({ signaled: () => isDone });
    let calls = 0;
    fence.addCallback(() => calls++);
    expect(fence.poll()).toBe(false);
    isDone = true;
    clock.advance(30);
    expect(fence.isSignaled).toBe(false);

    expect(fence.poll()).toBe(true);
    expect([fence.isSignaled, calls, fence.timestampNs]).toEqual([true, 1, 30]);
  });

  it("keeps the time of the signal, or the one the signaler gives", () => {
    const { create, clock } = mockFence();
    const [timed, given] = [create(1), create(2)];
    clock.advance(500);

    timed.signal();
    given.signal(123);

    expect([timed.timestampNs, given.timestampNs]).toEqual([500, 123]);
  });

  it("refuses an error after the signal and stays as it was", () => {
    const { fence } = mockFence();
    fence.signal();

    expect(() => fence.setError(new FenceError("EIO", "late"))).toThrow(
      expect.objectContaining({ code: "FENCE_SIGNALED", errno: "EINVAL" }),
    );
    expect(fence.status).toBe(1);
  });

  it("ends with EDEADLK when its producer lets go of it unsignaled", () => {
    const { create } = mockFence();
    let dropped: Fence | undefined;
    {
      using fence = create(1);
      dropped = fence;
    }

    expect(dropped.error?.errno).toBe("EDEADLK");
  });

  it("tells the driver of earlier deadlines only, and of none once signaled", () => {
    const told: number[] = [];
    const { fence } = mockFence({
      setDeadline: (_fence, deadlineNs) => void told.push(deadlineNs),
    });
    for (const deadlineNs of [50, 80, 20, 20]) fence.setDeadline(deadlineNs);
    fence.signal();
    fence.setDeadline(1);

    expect(told).toEqual([50, 20]);
    expect(fence.deadlineNs).toBe(20);
  });

  it("names who waits, and forgets them when they leave", async () => {
    const { fence, clock } = mockFence();
    const callback = (): void => undefined;
    fence.addCallback(callback);
    const wait = fence.signaled({ waiter: "display", timeoutNs: 10 });
    expect(fence.waiters()).toEqual(["unnamed", "display"]);

    fence.removeCallback(callback);
    clock.advance(10);
    await expect(wait).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });

    expect(fence.waiters()).toEqual([]);
  });

  it("carries any errno of a real kernel by number, within -4095 to -1", () => {
    expect(new FenceError(125, "m")).toMatchObject({ errno: "ECANCELED", status: -125 });
    expect(new FenceError(517, "m")).toMatchObject({ errno: "errno-517", status: -517 });
    expect(() => new FenceError(4096, "m")).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });
});

describe("fence context ids", () => {
  it("start at 1 in each domain and come in consecutive runs", () => {
    const domain = new FenceDomain(testDomain().clock);

    expect([domain.allocateContextIds(3), domain.allocateContextIds(1)]).toEqual([1, 4]);
    expect(() => domain.allocateContextIds(0)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });
});

describe("waiting", () => {
  it("resolves with the error of failed work, because failed work is over", async () => {
    const { fence } = mockFence();
    const wait = fence.signaled();
    fence.setError(new FenceError("ECANCELED", "reset"));

    fence.signal();

    expect((await wait)?.errno).toBe("ECANCELED");
  });

  it("ends on abort with the abort's reason, and leaves no callback and no timer behind", async () => {
    const { fence, clock } = mockFence();
    const abort = new AbortController();
    const wait = fence.signaled({ signal: abort.signal, timeoutNs: 100 });

    abort.abort("user pressed ^C");

    await expect(wait).rejects.toMatchObject({
      code: "WAIT_INTERRUPTED",
      errno: "EINTR",
      cause: "user pressed ^C",
    });
    expect([fence.waiters().length, clock.pendingCount]).toEqual([0, 0]);
  });

  it("a signaled fence wins over an aborted signal", async () => {
    const { fence } = mockFence();
    fence.signal();

    await expect(fence.signaled({ signal: AbortSignal.abort() })).resolves.toBeUndefined();
  });

  it("refuses a limit below 0 or that is no number", async () => {
    const { fence } = mockFence();
    for (const timeoutNs of [-1, Number.NaN]) {
      const wait = fence.signaled({ timeoutNs });
      await expect(wait).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
    }
  });

  it("leaves no callback behind when it is over before it began", async () => {
    const { fence } = mockFence();
    const over = [{ timeoutNs: 0 }, { signal: AbortSignal.abort() }];

    await Promise.allSettled(over.map((options) => fence.signaled(options)));
    await Promise.allSettled(over.map((options) => waitForAll([fence], options)));

    expect(fence.waiters()).toEqual([]);
  });

  it("leaves no listener on the abort signal when the fence signals", async () => {
    const { fence } = mockFence();
    const { signal } = new AbortController();
    const wait = fence.signaled({ signal });
    expect(getEventListeners(signal, "abort")).toHaveLength(1);

    fence.signal();
    await wait;

    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("a wait of no time enables signaling, so that a poller sees the end", async () => {
    let isEnabled = false;
    const enableSignaling = (): boolean => {
      isEnabled = true;
      return true;
    };
    const { fence } = mockFence({ enableSignaling });

    await fence.signaled({ timeoutNs: 0 }).catch(() => undefined);

    expect(isEnabled).toBe(true);
  });

  it("for all: resolves with the last, counts a fence listed twice once", async () => {
    const { create } = mockFence();
    const [one, two] = [create(1), create(2)];
    let isOver = false;
    const wait = waitForAll([one, two, one]).then(() => {
      isOver = true;
    });
    one.signal();
    await settleTasks();
    expect(isOver).toBe(false);

    two.signal();
    await wait;

    expect(isOver).toBe(true);
  });

  it("for all: the limit counts for all together", async () => {
    const { create, clock } = mockFence();
    const [one, two] = [create(1), create(2)];
    clock.schedule(6, () => one.signal());
    clock.schedule(12, () => two.signal());
    const wait = waitForAll([one, two], { timeoutNs: 10 });

    clock.advance(10);

    await expect(wait).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    expect(two.waiters()).toEqual([]);
  });

  it("for any: gives the index of the one that signaled and leaves the others", async () => {
    const { create } = mockFence();
    const fences = [create(1), create(2), create(3)];
    const wait = waitForAny(fences);

    fences[1]?.signal();

    expect(await wait).toBe(1);
    expect(fences.flatMap((fence) => fence.waiters())).toEqual([]);
    expect(await waitForAny(fences, { timeoutNs: 0 })).toBe(1);
  });

  it("for any: no fences at all is refused", async () => {
    await expect(waitForAny([])).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
  });
});
