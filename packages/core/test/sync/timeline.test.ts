/**
 * Timeline: sw_sync's counter, in order, across the wrap, and closed under its waiters.
 */
import { FenceError, SoftwareFence, Timeline } from "@peerbuf/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testDomain } from "./virtual-clock.ts";

function timeline(seqnoBits: 32 | 64 = 32): Timeline {
  return new Timeline(testDomain().domain, { timelineName: "test", seqnoBits });
}

const EINVAL = expect.objectContaining({ code: "ARGUMENT_INVALID", errno: "EINVAL" });

describe("timeline", () => {
  it("signals everything it reaches in seqno order, whatever the order of creation", () => {
    const line = timeline();
    const seen: number[] = [];
    for (const seqno of [5, 1, 4, 2, 3, 9]) {
      line.fenceAt(seqno).addCallback((fence) => seen.push(fence.seqno));
    }

    line.increment(5);

    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect([line.value, line.fenceAt(9).isSignaled]).toEqual([5, false]);
  });

  it("gives the same object for the same unsignaled seqno, and a signaled one once reached", () => {
    const line = timeline();
    const fence = line.fenceAt(2);
    expect(line.fenceAt(2)).toBe(fence);

    line.increment(2);

    expect(line.fenceAt(2)).not.toBe(fence);
    expect([line.fenceAt(2).status, line.fenceAt(1).status]).toEqual([1, 1]);
  });

  it("next gives rising seqnos that are not reached yet", () => {
    const line = timeline();
    expect([line.next().seqno, line.next().seqno, line.nextSeqno]).toEqual([1, 2, 3]);

    line.increment(10);

    expect([line.next().seqno, line.fenceAt(11).isSignaled]).toEqual([11, false]);
  });

  it("wraps: fences beyond 2^32 signal after those before it", () => {
    const line = timeline();
    line.increment(0xffff_fffe);
    const fences = [line.next(), line.next(), line.next()];
    expect(fences.map((fence) => fence.seqno)).toEqual([0xffff_ffff, 0, 1]);

    line.increment(2);

    expect(fences.map((fence) => fence.isSignaled)).toEqual([true, true, false]);
    expect(line.value).toBe(0);
  });

  it("a large step reaches everything on its way", () => {
    const line = timeline();
    const fence = line.fenceAt(0x7fff_ffff);

    line.increment(0xffff_ffff);

    expect([fence.isSignaled, line.value]).toEqual([true, 0xffff_ffff]);
  });

  it("advances to a seqno and never back", () => {
    const line = timeline(64);
    const fence = line.fenceAt(2 ** 40);
    line.advanceTo(2 ** 40);
    line.advanceTo(3);

    expect([fence.isSignaled, line.value]).toEqual([true, 2 ** 40]);
  });

  it("refuses steps and seqnos that a 32-bit counter cannot hold", () => {
    for (const count of [-1, 0.5, 2 ** 32]) {
      expect(() => timeline().increment(count)).toThrow(EINVAL);
    }
    expect(() => timeline().fenceAt(2 ** 32)).toThrow(EINVAL);
  });

  it("closing ends every unsignaled fence with ENOENT and leaves the others as they are", () => {
    const line = timeline();
    const [done, open] = [line.next(), line.next()];
    line.increment(1);

    line.close();

    expect([done.status, open.status]).toEqual([1, -2]);
    expect(open.error?.errno).toBe("ENOENT");
    expect(() => line.next()).toThrow(expect.objectContaining({ code: "HANDLE_CLOSED" }));
  });

  it("closing passes over a fence that was ended by itself", () => {
    const line = timeline();
    const [ended, open] = [line.next(), line.next()];
    ended.setError(new FenceError("ETIMEDOUT", "too late"));
    ended.signal();

    line.close();

    expect([ended.error?.errno, open.error?.errno]).toEqual(["ETIMEDOUT", "ENOENT"]);
  });

  it("is closed at the end of its scope, with another error if the driver says so", () => {
    let open: SoftwareFence | undefined;
    {
      using line = timeline();
      open = line.next();
    }
    const reset = timeline();
    const lost = reset.next();
    reset.close(new FenceError("ECANCELED", "the ring was reset"));

    expect([open.error?.errno, lost.error?.errno]).toEqual(["ENOENT", "ECANCELED"]);
  });

  it("signals the rest though a callback throws or comes back to the timeline", () => {
    const line = timeline();
    const fences = [line.next(), line.next(), line.next()];
    fences[0]?.addCallback(() => line.increment(1));
    fences[1]?.addCallback(() => {
      throw new Error("broken");
    });

    expect(() => line.increment(2)).toThrow(
      expect.objectContaining({ code: "FENCE_CALLBACK_FAILED" }),
    );
    expect(fences.map((fence) => fence.status)).toEqual([1, 1, 1]);
  });

  it("tells a fence's deadline: ENOENT without one, EINVAL for a stranger's fence", () => {
    const { domain } = testDomain();
    const line = new Timeline(domain, { timelineName: "test" });
    const fence = line.next();
    const context = domain.createContext({ driverName: "d", timelineName: "t" });
    expect(() => line.deadlineNs(fence)).toThrow(expect.objectContaining({ errno: "ENOENT" }));
    expect(() => line.deadlineNs(new SoftwareFence(context, 1))).toThrow(EINVAL);

    fence.setDeadline(700);

    expect(line.deadlineNs(fence)).toBe(700);
  });

  it("equals a plain counter: signaled is what lies at or below the sum of the steps", () => {
    const step = fc.oneof(
      fc.record({ add: fc.nat(40) }),
      fc.record({ fenceAhead: fc.integer({ min: 1, max: 60 }) }),
    );
    void fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.array(step, { maxLength: 60 }), (start, steps) => {
        const line = timeline();
        line.increment(start);
        let total = start;
        const made: { fence: SoftwareFence; place: number }[] = [];
        for (const action of steps) {
          if ("add" in action) {
            line.increment(action.add);
            total += action.add;
          } else {
            const place = total + action.fenceAhead;
            made.push({ fence: line.fenceAt(place % 2 ** 32), place });
          }
        }
        for (const { fence, place } of made) expect(fence.isSignaled).toBe(place <= total);
      }),
    );
  });
});
