/**
 * Sync file exchange: a buffer's fences out as a file, and a file's fences in.
 */
import {
  exportSyncFile,
  importSyncFile,
  LockOwner,
  Reservation,
  SyncFile,
  Timeline,
} from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import { testDomain } from "./virtual-clock.ts";

function sharedBuffer() {
  const { domain, clock } = testDomain();
  const buffer = new Reservation(domain, "buffer");
  const owner = new LockOwner("compositor");
  const timeline = (timelineName: string): Timeline => new Timeline(domain, { timelineName });
  return { domain, clock, buffer, owner, timeline };
}

describe("sync file exchange", () => {
  it("exports what a reader waits for: writers, and not readers", async () => {
    const { buffer, owner, timeline } = sharedBuffer();
    const [draw, scanOut] = [timeline("draw"), timeline("scan-out")];
    using written = SyncFile.create(draw.next());
    using read = SyncFile.create(scanOut.next());
    await importSyncFile(buffer, written, "write", owner);
    await importSyncFile(buffer, read, "read", owner);

    const namesFor = (access: "read" | "write"): string[] =>
      exportSyncFile(buffer, access)
        .info()
        .fences.map((fence) => fence.timelineName);

    expect(namesFor("read")).toEqual(["draw"]);
    expect(namesFor("write")).toEqual(["draw", "scan-out"]);
  });

  it("exports a signaled stub when there is nothing to wait for", () => {
    const { buffer } = sharedBuffer();

    expect(exportSyncFile(buffer, "write").info().fences).toMatchObject([
      { driverName: "stub", status: 1 },
    ]);
  });

  it("an export is a snapshot: what is added later is not in it", async () => {
    const { buffer, owner, timeline } = sharedBuffer();
    const [first, second] = [timeline("first"), timeline("second")];
    using early = SyncFile.create(first.next());
    await importSyncFile(buffer, early, "write", owner);
    using snapshot = exportSyncFile(buffer, "read");
    using late = SyncFile.create(second.next());
    await importSyncFile(buffer, late, "write", owner);

    first.increment(1);

    expect([snapshot.poll(), buffer.testSignaled("write")]).toEqual([true, false]);
  });

  it("imports every member of a merged file by itself, as no reservation takes a container", async () => {
    const { buffer, owner, timeline } = sharedBuffer();
    const lines = ["one", "two", "three"].map(timeline);
    const [one, two, three] = lines.map((line) => SyncFile.create(line.next()));
    if (!one || !two || !three) throw new Error("three files were made");
    using merged = one.merge(two, "m").merge(three, "m");

    await importSyncFile(buffer, merged, "read", owner);

    expect(buffer.getFences("read").map((fence) => fence.timelineName)).toEqual([
      "one",
      "two",
      "three",
    ]);
    expect(buffer.isLocked).toBe(false);
  });

  it("adds nothing when it cannot have the lock in time", async () => {
    const { buffer, owner, timeline } = sharedBuffer();
    buffer.tryLock(new LockOwner("somebody else"));
    using file = SyncFile.create(timeline("draw").next());

    const imported = importSyncFile(buffer, file, "write", owner, { timeoutNs: 0 });

    await expect(imported).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    expect(buffer.getFences("write")).toEqual([]);
  });
});
