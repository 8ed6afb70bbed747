/**
 * Fence array: all members or any member, the first error, and what it leaves behind.
 */
import {
  FenceArray,
  type FenceCallback,
  FenceError,
  type FenceOperations,
  SoftwareFence,
  type Waiter,
} from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import { testDomain } from "./virtual-clock.ts";

function members(count: number, operations: FenceOperations = {}) {
  const { domain } = testDomain();
  const names = { driverName: "mock", timelineName: "ring" };
  const fences = Array.from({ length: count }, () => {
    return new SoftwareFence(domain.createContext({ ...names, operations }), 1);
  });
  return { domain, fences };
}

/** Counts the callbacks that are queued on it now. */
class CountingFence extends SoftwareFence {
  queued = 0;

  override addCallback(callback: FenceCallback, waiter?: Waiter): "queued" | "signaled" {
    const answer = super.addCallback(callback, waiter);
    this.queued += answer === "queued" ? 1 : 0;
    return answer;
  }

  override removeCallback(callback: FenceCallback): boolean {
    const wasQueued = super.removeCallback(callback);
    this.queued -= wasQueued ? 1 : 0;
    return wasQueued;
  }
}

function countingMembers(count: number) {
  const { domain } = testDomain();
  const context = domain.createContext({ driverName: "mock", timelineName: "ring" });
  const fences = Array.from({ length: count }, (_, index) => new CountingFence(context, index));
  return { domain, fences };
}

function failing(fence: SoftwareFence | undefined, errno: "EIO" | "ECANCELED"): void {
  fence?.setError(new FenceError(errno, "failed"));
  fence?.signal();
}

describe("fence array", () => {
  it("signals with the last member, before that member's signal returns", () => {
    const { domain, fences } = members(3);
    const array = new FenceArray(domain, fences);
    array.enableSignaling();
    const progress = fences.map((fence) => {
      fence.signal();
      return array.isSignaled;
    });

    expect(progress).toEqual([false, false, true]);
    expect([array.driverName, array.timelineName]).toEqual(["dma_fence_array", "unbound"]);
    expect(array.seqno).toBe(1);
  });

  it("signals right after the callbacks of the last member, not among them", () => {
    const { domain, fences } = members(1);
    const array = new FenceArray(domain, fences);
    const seen: string[] = [];
    array.addCallback(() => seen.push("array"));
    fences[0]?.addCallback(() => seen.push("member"));

    fences[0]?.signal();

    expect(seen).toEqual(["member", "array"]);
  });

  it("in any-mode signals with the first member and leaves the others", () => {
    const { domain, fences } = countingMembers(3);
    const array = new FenceArray(domain, fences, { mode: "any" });
    array.addCallback(() => undefined, "display");
    expect(fences[2]?.waiters()).toEqual(["display"]);

    fences[1]?.signal();

    expect(array.isSignaled).toBe(true);
    expect([fences[0]?.queued, fences[2]?.queued]).toEqual([0, 0]);
  });

  it("takes the first member error seen, by time and not by place", () => {
    const { domain, fences } = members(3);
    const array = new FenceArray(domain, fences);
    array.enableSignaling();

    fences[2]?.signal();
    failing(fences[1], "ECANCELED");
    failing(fences[0], "EIO");

    expect(array.error?.errno).toBe("ECANCELED");
  });

  it("takes the first member error in order when it is polled only", () => {
    const { domain, fences } = members(2);
    const array = new FenceArray(domain, fences);
    expect(array.poll()).toBe(false);
    failing(fences[1], "ECANCELED");
    failing(fences[0], "EIO");
    expect(array.isSignaled).toBe(false);

    expect(array.poll()).toBe(true);
    expect(array.error?.errno).toBe("EIO");
  });

  it("asks members for nothing until somebody waits for it", () => {
    let enabled = 0;
    const { domain, fences } = members(2, { enableSignaling: () => ++enabled > 0 });
    const array = new FenceArray(domain, fences);
    expect([array.poll(), enabled]).toEqual([false, 0]);

    array.addCallback(() => undefined);

    expect(enabled).toBe(2);
  });

  it("is signaled at once when all members are, so a callback is refused", () => {
    const { domain, fences } = members(2);
    for (const fence of fences) fence.signal();

    expect(new FenceArray(domain, fences).addCallback(() => undefined)).toBe("signaled");
  });

  it("any-mode with one finished member signals at once and leaves the rest alone", () => {
    const { domain, fences } = countingMembers(3);
    fences[1]?.signal();
    const array = new FenceArray(domain, fences, { mode: "any" });

    array.enableSignaling();

    expect([array.isSignaled, fences[0]?.queued, fences[2]?.queued]).toEqual([true, 0, 0]);
  });

  it("counts a member listed twice once", () => {
    const { domain, fences } = members(2);
    const array = new FenceArray(domain, [...fences, ...fences]);
    array.enableSignaling();

    fences[0]?.signal();
    expect(array.isSignaled).toBe(false);
    fences[1]?.signal();

    expect(array.isSignaled).toBe(true);
  });

  it("forwards a deadline to all members", () => {
    const { domain, fences } = members(2);

    new FenceArray(domain, fences).setDeadline(70);

    expect(fences.map((fence) => fence.deadlineNs)).toEqual([70, 70]);
  });

  it("refuses containers as members, and having none", () => {
    const { domain, fences } = members(1);
    const array = new FenceArray(domain, fences);

    expect(() => new FenceArray(domain, [array])).toThrow(
      expect.objectContaining({ code: "FENCE_IS_CONTAINER" }),
    );
    expect(() => new FenceArray(domain, [])).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });
});
