/**
 * Fence merge: the checks of Linux's drivers/dma-buf/st-dma-fence-unwrap.c, then merge against a
 * naive model.
 */
import {
  type Fence,
  FenceArray,
  FenceChain,
  type FenceContext,
  type FenceDomain,
  mergeFences,
  SoftwareFence,
  Timeline,
  unwrapFence,
} from "@peerbuf/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testDomain } from "./virtual-clock.ts";

type Shape = "plain" | "array" | "chain" | "chain of array";

function separateFences(count: number) {
  const { domain, clock } = testDomain();
  const fences = Array.from({ length: count }, () => {
    const context = domain.createContext({ driverName: "mock", timelineName: "ring" });
    return new SoftwareFence(context, 1);
  });
  return { domain, clock, fences };
}

function pair() {
  const { domain, clock, fences } = separateFences(2);
  const [one, two] = fences;
  if (one === undefined || two === undefined) throw new Error("two fences were made");
  return { domain, clock, one, two };
}

describe("st-dma-fence-unwrap", () => {
  it("sanitycheck: an array of one signals with its member", () => {
    const { domain, one } = pair();
    const array = new FenceArray(domain, [one]);
    array.enableSignaling();

    one.signal();

    expect(array.isSignaled).toBe(true);
  });

  it("unwrap_array: each member once, none extra", () => {
    const { domain, one, two } = pair();

    expect(unwrapFence(new FenceArray(domain, [one, two]))).toEqual([one, two]);
  });

  it("unwrap_chain: each contained fence once, newest first", () => {
    const { one, two } = pair();
    const chain = new FenceChain(new FenceChain(undefined, one, 1), two, 2);

    expect(unwrapFence(chain)).toEqual([two, one]);
  });

  it("unwrap_chain_array: the members of an array inside a chain", () => {
    const { domain, one, two } = pair();
    const chain = new FenceChain(undefined, new FenceArray(domain, [one, two]), 1);

    expect(unwrapFence(chain)).toEqual([one, two]);
  });

  it("unwrap_merge: two fences give an array of both", () => {
    const { domain, one, two } = pair();

    const merged = mergeFences(domain, [one, two]);

    expect(merged).toBeInstanceOf(FenceArray);
    expect(unwrapFence(merged)).toEqual([one, two]);
  });

  it("unwrap_merge_complex: {f1,f2}, {f2,f1} and a signaled one give exactly f1 and f2", () => {
    const { domain, fences } = separateFences(3);
    const [one, two, signaled] = fences;
    if (!one || !two || !signaled) throw new Error("three fences were made");
    signaled.signal();
    const arrays = [new FenceArray(domain, [one, two]), new FenceArray(domain, [two, one])];

    expect(unwrapFence(mergeFences(domain, [...arrays, signaled]))).toEqual([one, two]);
  });
});

describe("fence merge", () => {
  it("of nothing active is a stub with the latest timestamp seen", () => {
    const { domain, clock, one, two } = pair();
    clock.advance(10);
    two.signal();
    clock.advance(10);
    one.signal();
    clock.advance(10);

    const merged = mergeFences(domain, [one, two]);

    expect([merged.driverName, merged.status, merged.timestampNs]).toEqual(["stub", 1, 20]);
    expect(mergeFences(domain, []).timestampNs).toBe(0);
  });

  it("of one active fence is that very fence", () => {
    const { domain, one, two } = pair();
    two.signal();

    expect(mergeFences(domain, [two, one, one])).toBe(one);
  });

  it("keeps the latest of a timeline, and sorts timelines by context id", () => {
    const { domain } = testDomain();
    const [first, second] = [0, 1].map(() => new Timeline(domain, { timelineName: "t" }));
    if (!first || !second) throw new Error("two timelines were made");
    const fences = [second.fenceAt(1), first.fenceAt(3), second.fenceAt(2), first.fenceAt(1)];

    const merged = mergeFences(domain, fences);

    expect(unwrapFence(merged)).toEqual([first.fenceAt(3), second.fenceAt(2)]);
    expect(merged.seqno).toBe(1);
  });

  it("keeps the latest across the wrap of a 32-bit timeline", () => {
    const { domain } = testDomain();
    const timeline = new Timeline(domain, { timelineName: "t" });
    timeline.increment(0xffff_fff0);
    const [before, after] = [timeline.fenceAt(0xffff_ffff), timeline.fenceAt(2)];

    expect(mergeFences(domain, [after, before])).toBe(after);
  });

  const TIMELINES = 5;
  const SEQNOS = 6;
  const place = fc.record({ timeline: fc.nat(TIMELINES - 1), seqno: fc.nat(SEQNOS - 1) });
  const group = fc.record({
    shape: fc.constantFrom<Shape[]>("plain", "array", "chain", "chain of array"),
    places: fc.array(place, { minLength: 1, maxLength: 6 }),
  });

  it("equals the naive model: the highest active seqno of each timeline, by context id", () => {
    void fc.assert(
      fc.property(
        fc.array(group, { maxLength: 8 }),
        fc.array(fc.nat(SEQNOS), { minLength: TIMELINES, maxLength: TIMELINES }),
        (groups, values) => {
          const { domain } = testDomain();
          const pool = values.map(() => filledTimeline(domain));
          const named = groups.map(({ places }) =>
            places.flatMap(({ timeline, seqno }) => pool[timeline]?.fences[seqno] ?? []),
          );
          const shaped = groups.flatMap(({ shape }, index) => shapeOf(shape, named[index] ?? []));
          pool.forEach(({ timeline }, index) => {
            timeline.increment(values[index] ?? 0);
          });

          const merged = mergeFences(domain, shaped);

          const expected = naiveMerge(named.flat());
          expect(merged.isSignaled ? [] : unwrapFence(merged)).toEqual(expected);
          if (expected.length === 1) expect(merged).toBe(expected[0]);
        },
      ),
    );
  });

  function filledTimeline(domain: FenceDomain) {
    const timeline = new Timeline(domain, { timelineName: "t" });
    return { timeline, fences: Array.from({ length: SEQNOS }, () => timeline.next()) };
  }

  function shapeOf(shape: Shape, fences: Fence[]): Fence[] {
    const domain = fences[0]?.context.domain;
    if (domain === undefined || shape === "plain") return fences;
    if (shape === "array") return [new FenceArray(domain, fences)];
    if (shape === "chain of array") {
      return [new FenceChain(undefined, new FenceArray(domain, fences), 1)];
    }
    let chain: FenceChain | undefined;
    for (const fence of fences) chain = new FenceChain(chain, fence, (chain?.seqno ?? 0) + 1);
    return chain === undefined ? [] : [chain];
  }

  function naiveMerge(fences: Fence[]): Fence[] {
    const active = fences.filter((fence) => fence.status === 0);
    const contexts = [...new Set(active.map((fence): FenceContext => fence.context))];
    contexts.sort((one, other) => one.id - other.id);
    return contexts.flatMap((context) => {
      const own = active.filter((fence) => fence.context === context);
      const highest = Math.max(...own.map((fence) => fence.seqno));
      return own.filter((fence) => fence.seqno === highest).slice(0, 1);
    });
  }
});
