/**
 * Sync file: the checks of Linux's tools/testing/selftests/sync through timelines and sync files,
 * then what is special about the handle.
 */
import { type FenceDomain, FenceError, SyncFile, Timeline } from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import { randomFrom, testDomain } from "./virtual-clock.ts";

function timelines(count: number) {
  const { clock, domain } = testDomain();
  const lines = Array.from({ length: count }, (_, index) => timelineOf(domain, `line${index}`));
  return { clock, domain, lines };
}

function timelineOf(domain: FenceDomain, timelineName: string): Timeline {
  return new Timeline(domain, { timelineName });
}

function oneTimeline() {
  const { domain, clock } = testDomain();
  return { clock, line: timelineOf(domain, "line") };
}

const fileAt = (line: Timeline, value: number): SyncFile => SyncFile.create(line.fenceAt(value));

const countOf = (file: SyncFile, status: number): number =>
  file.info().fences.filter((fence) => fence.status === status).length;

function mergeAll(files: SyncFile[], name = "merged"): SyncFile {
  const [first, ...rest] = files;
  if (first === undefined) throw new Error("nothing to merge");
  return rest.reduce((merged, file) => merged.merge(file, name), first);
}

const CLOSED = expect.objectContaining({ code: "HANDLE_CLOSED", errno: "EBADF" });

describe("sync selftests", () => {
  it("alloc_timeline: a timeline can be made", () => {
    expect(oneTimeline().line.value).toBe(0);
  });

  it("alloc_fence: a fence on it can be made into a sync file", () => {
    using file = fileAt(oneTimeline().line, 1);

    expect(file.status).toBe(0);
  });

  it("alloc_fence_negative: a fence on no timeline fails", () => {
    const { line } = oneTimeline();
    line.close();

    expect(() => fileAt(line, 1)).toThrow(CLOSED);
  });

  it("fence_one_timeline_wait: active until the value is reached, signaled ever after", async () => {
    const { line } = oneTimeline();
    using file = fileAt(line, 5);
    const look = (): Promise<unknown> => file.signaled({ timeoutNs: 0 });
    await expect(look()).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    line.increment(1);
    await expect(look()).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    expect([countOf(file, 0), file.poll()]).toEqual([1, false]);

    line.increment(4);
    await expect(look()).resolves.toBeUndefined();
    line.increment(10);
    await expect(look()).resolves.toBeUndefined();
    expect([countOf(file, 1), file.poll()]).toEqual([1, true]);
  });

  it("fence_one_timeline_merge: three values of one timeline merge to one point at the highest", () => {
    const { line } = oneTimeline();
    using merged = mergeAll([fileAt(line, 1), fileAt(line, 2), fileAt(line, 3)]);
    expect(merged.info().fences).toHaveLength(1);

    line.increment(1);
    expect(countOf(merged, 0)).toBe(1);
    line.increment(1);
    expect(countOf(merged, 0)).toBe(1);
    line.increment(1);

    expect([countOf(merged, 0), countOf(merged, 1)]).toEqual([0, 1]);
  });

  it("fence_merge_same_fence: a fence merged with itself is that fence", () => {
    const { line } = oneTimeline();
    using file = fileAt(line, 5);
    using merged = file.merge(file, "same");
    expect(merged.fence).toBe(file.fence);
    expect(countOf(merged, 0)).toBe(1);

    line.increment(5);

    expect(countOf(merged, 1)).toBe(1);
  });

  it("fence_multi_timeline_wait: a merge of three timelines counts down 3, 2, 1, 0 active", async () => {
    const { lines } = timelines(3);
    using merged = mergeAll(lines.map((line) => fileAt(line, 5)));
    await expect(merged.signaled({ timeoutNs: 0 })).rejects.toMatchObject({
      code: "WAIT_TIMED_OUT",
    });
    const active = [countOf(merged, 0)];

    for (const line of lines) {
      line.increment(5);
      active.push(countOf(merged, 0));
    }

    expect(active).toEqual([3, 2, 1, 0]);
    await expect(merged.signaled({ timeoutNs: 0 })).resolves.toBeUndefined();
  });

  it("stress_two_threads_shared_timeline: two tasks alternate strictly for 65,536 rounds", async () => {
    const { line } = oneTimeline();
    let counter = 0;
    const task = async (number: number): Promise<void> => {
      for (let round = 0; round < 65_536 / 2; round++) {
        using file = fileAt(line, 2 * round + number);
        await file.signaled();
        if (counter !== 2 * round + number) throw new Error(`turn ${counter} went to ${number}`);
        counter++;
        line.increment(1);
      }
    };

    await Promise.all([task(1), task(0)]);

    expect(counter).toBe(65_536);
  });

  it("consumer_stress_multi_producer_single_consumer: five producers, a merge a round, 4,096 rounds", async () => {
    const ROUNDS = 4096;
    const { domain, lines } = timelines(5);
    const consumed = timelineOf(domain, "consumer");
    let counter = 0;
    const produce = async (line: Timeline): Promise<void> => {
      for (let round = 0; round < ROUNDS; round++) {
        using file = fileAt(consumed, round);
        await file.signaled();
        counter++;
        line.increment(1);
      }
    };
    const consume = async (): Promise<void> => {
      for (let round = 1; round <= ROUNDS; round++) {
        using merged = mergeAll(lines.map((line) => fileAt(line, round)));
        await merged.signaled();
        if (counter !== lines.length * round) throw new Error(`round ${round} saw ${counter}`);
        consumed.increment(1);
      }
    };

    await Promise.all([consume(), ...lines.map(produce)]);

    expect(counter).toBe(5 * ROUNDS);
  });

  it("merge_stress_random_merge: 32 timelines, 32,768 merges, one point a timeline at its highest", () => {
    const random = randomFrom(2026);
    const { lines } = timelines(32);
    const highest = new Array<number>(32).fill(-1);
    let merged: SyncFile | undefined;
    for (let round = 0; round < 32_768; round++) {
      const index = random(32);
      const value = 1 + random(0x7fff_fffe);
      const line = lines[index];
      if (line === undefined) throw new Error("32 timelines were made");
      highest[index] = Math.max(highest[index] ?? -1, value);
      const file = fileAt(line, value);
      merged = merged === undefined ? file : merged.merge(file, "random");
    }
    expect(merged?.info().fences).toHaveLength(highest.filter((value) => value >= 0).length);

    lines.forEach((line, index) => {
      expect(merged?.poll()).toBe(false);
      line.increment(highest[index] ?? 0);
    });

    expect(merged?.poll()).toBe(true);
  });
});

describe("sync file", () => {
  it("is named after driver, timeline, context and seqno, or as the merge says", () => {
    const { lines } = timelines(2);
    const files = lines.map((line) => fileAt(line, 7));

    expect(files.map((file) => file.name)).toEqual(["sw_sync-line01-7", "sw_sync-line12-7"]);
    expect(mergeAll(files, "frame 3").name).toBe("frame 3");
    expect(mergeAll(files, "").name).toBe("dma_fence_array-unbound4-1");
  });

  it("refuses a name of more than 31 bytes", () => {
    const file = fileAt(oneTimeline().line, 1);

    expect(file.merge(file, "x".repeat(31)).name).toHaveLength(31);
    expect(() => file.merge(file, "é".repeat(16))).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });

  it("tells of each fence who made it, its state and when it signaled", () => {
    const { clock, lines } = timelines(2);
    const merged = mergeAll(lines.map((line) => fileAt(line, 1)));
    clock.advance(90);
    lines[0]?.increment(1);

    expect(merged.info()).toEqual({
      name: "merged",
      status: 0,
      fences: [
        { timelineName: "line0", driverName: "sw_sync", status: 1, timestampNs: 90 },
        { timelineName: "line1", driverName: "sw_sync", status: 0, timestampNs: 0 },
      ],
    });
  });

  it("its status is the first record that is not done", () => {
    const { lines } = timelines(2);
    const merged = mergeAll(lines.map((line) => fileAt(line, 1)));
    lines[1]?.close(new FenceError("EIO", "reset"));
    expect([merged.info().status, merged.status]).toEqual([0, 0]);

    lines[0]?.increment(1);

    expect([merged.info().status, merged.status]).toEqual([-5, -5]);
  });

  it("signaled inputs vanish, and their errors; nothing left is one stub record", () => {
    const { clock, lines } = timelines(2);
    const [failed, done] = lines.map((line) => fileAt(line, 1));
    if (!failed || !done) throw new Error("two files were made");
    clock.advance(40);
    lines[0]?.close(new FenceError("EIO", "reset"));
    lines[1]?.increment(1);

    const { fences } = failed.merge(done, "done").info();

    expect(fences).toEqual([
      { timelineName: "stub", driverName: "stub", status: 1, timestampNs: 40 },
    ]);
  });

  it("is readable after an error as well, and the wait tells the error", async () => {
    const { line } = oneTimeline();
    const file = fileAt(line, 1);
    line.close(new FenceError("ECANCELED", "reset"));

    expect(file.poll()).toBe(true);
    expect((await file.signaled())?.errno).toBe("ECANCELED");
  });

  it("lives until its last handle is closed", () => {
    const { line } = oneTimeline();
    const file = fileAt(line, 1);
    const other = file.duplicate();
    expect(other.handleCount).toBe(2);

    file.close();

    expect([file.isOpen, other.handleCount, other.status]).toEqual([false, 1, 0]);
    expect(() => file.fence).toThrow(CLOSED);
    expect(() => file.close()).toThrow(CLOSED);
  });

  it("merging with a closed file is ENOENT, as for a bad second descriptor", () => {
    const { line } = oneTimeline();
    const [file, closed] = [fileAt(line, 1), fileAt(line, 1)];
    closed.close();

    expect(() => file.merge(closed, "none")).toThrow(
      expect.objectContaining({ code: "HANDLE_CLOSED", errno: "ENOENT" }),
    );
  });

  it("passes a deadline on to its fences", () => {
    const { lines } = timelines(2);
    const merged = mergeAll(lines.map((line) => fileAt(line, 1)));

    merged.setDeadline(60);

    expect(lines.map((line) => line.deadlineNs(line.fenceAt(1)))).toEqual([60, 60]);
  });
});
