/** Campaigns on worker threads: the same runs as on one, also when workers are lost. */
import {
  type Campaign,
  EXAMPLES,
  explore,
  exploreAllInWorkers,
  exploreInWorkers,
  FAULT_KINDS,
  mergeShares,
  runShare,
} from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";

const examples = { module: new URL("../dist/index.js", import.meta.url).href, name: "exampleSet" };
const treacherous = new URL("./treacherous-scenarios.mjs", import.meta.url).href;

const campaign: Campaign = {
  source: examples,
  scenario: "two-importers",
  schedules: 400,
  seed: 11,
  faults: FAULT_KINDS,
  faultsMax: 2,
};

describe("a campaign on threads", () => {
  it("does byte for byte the runs that one thread does", async () => {
    const [scenario] = EXAMPLES;
    const alone = await explore(scenario as (typeof EXAMPLES)[number], campaign);

    const one = await exploreInWorkers(campaign, { workers: 1, shareSchedules: 400 });
    const two = await exploreInWorkers(campaign, { workers: 2, shareSchedules: 100 });

    expect(one.hash).toBe(alone.hash);
    expect(two.hash).toBe(alone.hash);
    expect([two.schedules, two.faults]).toEqual([alone.schedules, alone.faults]);
    expect(two.transitions.table).toEqual(alone.transitions.table);
  });

  it("finds the failure with the lowest number, whatever the number of threads", async () => {
    const broken = { ...campaign, source: { module: treacherous, name: "rarelyWrong" } };
    const settled = { ...broken, scenario: "rarely-wrong", faults: [] };

    const one = await exploreInWorkers(settled, { workers: 1, shareSchedules: 50 });
    const three = await exploreInWorkers(settled, { workers: 3, shareSchedules: 50 });

    expect(one.failureAt).toBeGreaterThan(0);
    expect(three.failureAt).toBe(one.failureAt);
    expect(three.failure?.token).toBe(one.failure?.token);
  });

  it("does the share of a lost worker again", async () => {
    const dies = { module: treacherous, name: "diesOnce", data: { key: `${process.pid}-once` } };
    const lossy = { ...campaign, source: dies, scenario: "two-importers" };

    const report = await exploreInWorkers(lossy, { workers: 2, shareSchedules: 100 });
    const whole = await exploreInWorkers(campaign, { workers: 1, shareSchedules: 400 });

    expect([report.schedules, report.hash]).toEqual([400, whole.hash]);
  });

  it("ends with an error that names the runs which end every worker", async () => {
    const deadly = { ...campaign, source: { module: treacherous, name: "diesAlways" } };

    await expect(exploreInWorkers(deadly, { workers: 2 })).rejects.toMatchObject({
      code: "DRIVER_BROKEN",
      message: expect.stringContaining("have ended 3 workers"),
    });
  });

  it("reports of a failing campaign what one thread would, though others ran ahead", async () => {
    const source = { module: treacherous, name: "rarelyWrong" };
    const wrong: Campaign = { source, scenario: "rarely-wrong", schedules: 4_000, seed: 3 };

    const one = await exploreInWorkers(wrong, { workers: 1, shareSchedules: 4_000 });
    const four = await exploreInWorkers(wrong, { workers: 4, shareSchedules: 20 });

    expect(one.failureAt).toBe(one.schedules - 1);
    expect(four).toEqual(one);
  });

  it("does several campaigns with the same hands, an exhaustive one in one share", async () => {
    const whole: Campaign = {
      source: { module: treacherous, name: "twoSteps" },
      scenario: "two-steps",
      strategy: "exhaustive",
      schedules: 10_000,
    };

    const reports = await exploreAllInWorkers([campaign, whole], { workers: 2 });
    const alone = await exploreInWorkers(campaign, { workers: 1 });

    expect(reports[0]).toEqual(alone);
    expect(reports[1]).toMatchObject({ scenario: "two-steps", isComplete: true, schedules: 6 });
  });

  it("outlives a thread that ends when it has nothing to do", async () => {
    const fails = { module: treacherous, name: "failsAfterwards" };
    const short: Campaign = { ...campaign, source: fails, schedules: 100 };
    const long: Campaign = { ...campaign, schedules: 20_000 };

    const reports = await exploreAllInWorkers([short, long], {
      workers: 2,
      shareSchedules: 20_000,
    });

    expect(reports.map(({ schedules }) => schedules)).toEqual([100, 20_000]);
  });

  it("ends early when it is told to, with what was done until then", async () => {
    const over = new AbortController();
    const long: Campaign = { ...campaign, schedules: 10_000_000 };

    const [done, notBegun] = await exploreAllInWorkers([long, campaign], {
      workers: 1,
      signal: over.signal,
      onProgress: () => over.abort(),
    });

    expect(done?.schedules).toBeGreaterThan(0);
    expect(done?.schedules).toBeLessThan(10_000_000);
    expect(notBegun).toMatchObject({ schedules: 0, failure: undefined });
  });

  it("reports progress, and refuses what cannot be", async () => {
    const seen: number[] = [];
    const onProgress = ({ schedules }: { schedules: number }): void => void seen.push(schedules);

    await exploreInWorkers(campaign, { workers: 1, shareSchedules: 200, onProgress });

    expect(seen.at(-1)).toBe(400);
    await expect(exploreInWorkers(campaign, { workers: 0 })).rejects.toMatchObject({
      code: "ARGUMENT_INVALID",
    });
    await expect(
      exploreInWorkers({ ...campaign, scenario: "nobody" }, { workers: 1 }),
    ).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
  });
});

describe("shares put together", () => {
  it("are the same whole in whatever order they come", async () => {
    const shares = [0, 150, 300].map((first) => ({ first, schedules: 100 }));
    const source = { ...examples, module: new URL("../src/index.ts", import.meta.url).href };
    const reports = await Promise.all(
      shares.map((share) => runShare({ ...campaign, source }, share)),
    );

    expect(mergeShares(reports.toReversed())).toEqual(mergeShares(reports));
  });
});
