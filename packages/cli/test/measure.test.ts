import { describe, expect, it } from "vitest";
import { meets } from "../src/bench/bench.ts";
import { measure } from "../src/bench/measure.ts";

describe("measure", () => {
  it("alternates the sides, leaves the first round out and takes medians", () => {
    const order: string[] = [];
    const ours = [1000, 5, 1, 3];
    const base = [2000, 20, 60, 40];

    const medians = measure(
      3,
      () => {
        order.push("ours");
        return ours[order.length >> 1] as number;
      },
      () => {
        order.push("baseline");
        return base[(order.length - 1) >> 1] as number;
      },
    );

    expect(order).toEqual(Array(4).fill(["ours", "baseline"]).flat());
    expect(medians).toEqual({ value: 3, baseline: 40 });
  });
});

describe("a bar", () => {
  it.each([
    [{ ratio: ">= 10" }, 1, 10, true],
    [{ ratio: ">= 10" }, 1, 9.99, false],
    [{ value: "<= 2000" }, 2000, undefined, true],
    [{ value: "<= 2000" }, 2001, undefined, false],
    [{ ratio: ">= 10" }, 1, undefined, false],
  ])("%j with value %d and ratio %s: %s", (bar, value, ratio, met) => {
    expect(meets(bar, value, ratio)).toBe(met);
  });
});
