/** A campaign over a queue: needs a Redis (Debian package redis-server), which is started here on a port of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Campaign, exploreInWorkers, FAULT_KINDS } from "@peerbuf/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exploreOnQueue, helpOnQueue } from "../src/queue/campaign-queue.ts";

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;
const title = hasRedis
  ? "a campaign over a queue"
  : "a campaign over a queue (skipped: install redis-server)";

const campaign: Campaign = {
  source: {
    module: new URL("../../testkit/dist/index.js", import.meta.url).href,
    name: "exampleSet",
  },
  scenario: "two-buffers",
  schedules: 300,
  seed: 5,
  faults: FAULT_KINDS,
  faultsMax: 2,
};

describe.skipIf(!hasRedis)(title, () => {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-redis-"));
  let redis: ChildProcess | undefined;
  let url = "";

  beforeAll(async () => {
    const port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    redis = spawn("redis-server", ["--port", String(port), "--save", "", "--dir", folder]);
    await new Promise<void>((resolve) => {
      redis?.stdout?.on("data", (text) => {
        if (String(text).includes("Ready to accept connections")) {
          resolve();
        }
      });
    });
  });

  afterAll(() => {
    redis?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  it("gives the report that one machine would give", async () => {
    const alone = await exploreInWorkers(campaign, { workers: 1, shareSchedules: 300 });
    const over = new AbortController();
    const helpers = [helper("whole", over), helper("whole", over)];

    const report = await exploreOnQueue(campaign, { url, name: "whole", shareSchedules: 60 });
    over.abort();
    await Promise.all(helpers.map(({ exited }) => exited));

    expect([report.schedules, report.hash]).toEqual([300, alone.hash]);
    expect(report.transitions.table).toEqual(alone.transitions.table);
  });

  it("has the share of a lost helper done again", async () => {
    const over = new AbortController();
    const lost = helper("lossy", over, "--dies");
    const handedOut = exploreOnQueue(campaign, { url, name: "lossy", shareSchedules: 150 });
    await lost.exited;

    const left = helper("lossy", over);
    const report = await handedOut;
    over.abort();
    await left.exited;

    expect(report.schedules).toBe(300);
  });

  it("refuses an address that is none", async () => {
    await expect(exploreOnQueue(campaign, { url: "nowhere" })).rejects.toMatchObject({
      name: "InputError",
    });
    await expect(helpOnQueue({ url: "http://127.0.0.1" })).rejects.toMatchObject({
      name: "InputError",
    });
  });

  /** A process that helps, as another machine would. */
  function helper(name: string, over: AbortController, ...flags: string[]) {
    const file = new URL("./queue-helper.mjs", import.meta.url).pathname;
    const child = spawn(process.execPath, [file, url, name, ...flags], { stdio: "inherit" });
    over.signal.addEventListener("abort", () => child.kill("SIGTERM"));
    return { exited: new Promise<void>((resolve) => child.once("exit", () => resolve())) };
  }
});

/** A port that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}
