/** A campaign over a queue: the same answer as on one machine, and one sentence for whatever Redis does to it. */
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@peerbuf/core";
import { type Campaign, exploreInWorkers, FAULT_KINDS } from "@peerbuf/testkit";
import { Redis } from "ioredis";
import { helpReportShape } from "peerbuf";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openDoor } from "../src/queue/redis-door.ts";
import { handOut } from "../src/queue/share-owner.ts";
import { emptyFolder, peerbuf } from "./console.ts";
import { heapWith } from "./heap-module.ts";
import { HAS_REDIS, type RedisServer, startRedis, WHY_NOT } from "./redis-server.ts";

const BIN = fileURLToPath(new URL("../bin/peerbuf.js", import.meta.url));
const CHILD = fileURLToPath(new URL("../dist/driver-kit/kit-child.js", import.meta.url));

const source = {
  module: new URL("../../testkit/dist/index.js", import.meta.url).href,
  name: "exampleSet",
};
const campaign: Campaign = {
  source,
  scenario: "two-buffers",
  schedules: 300,
  seed: 5,
  faults: FAULT_KINDS,
  faultsMax: 2,
};

/** A folder with drivers' modules in it. */
function folderWith(modules: Readonly<Record<string, string>>): string {
  const cwd = emptyFolder();
  for (const [name, text] of Object.entries(modules)) {
    writeFileSync(join(cwd, name), text);
  }
  return cwd;
}

describe.skipIf(!HAS_REDIS || !existsSync(CHILD))(`a campaign over a queue${WHY_NOT}`, () => {
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await startRedis();
  });

  afterAll(() => redis.stop());

  it.each([
    ["that keeps the rules", heapWith(""), 0],
    ["that breaks one", heapWith("release() {},"), 1],
  ])(
    "gives of a driver %s the answer that one thread gives, with helpers",
    async (_name, text, code) => {
      const cwd = folderWith({ "driver.ts": text, "copy.ts": text });
      const explore = ["explore", "driver.ts", "--schedules", "800", "--json"];
      const helper = command(cwd, ["explore", "copy.ts", "--join", redis.url, "--json"]);

      const alone = await peerbuf([...explore, "--workers", "1"], { cwd });
      const shared = await peerbuf([...explore, "--workers", "1", "--queue", redis.url], { cwd });
      const helped = await helper.interrupt();

      expect(alone.code).toBe(code);
      expect(shared).toEqual(alone);
      expect(helped.code).toBe(0);
      expect(helpReportShape.safeParse(JSON.parse(helped.stdout)).error).toBeUndefined();
    },
  );

  it("leaves nothing in Redis that anybody would find to do", async () => {
    const client = new Redis(redis.url);
    onTestFinished(() => client.disconnect());

    const waiting = await client.llen("bull:peerbuf-explore-heap:wait");
    const owners = await client.keys("peerbuf-campaign-*");

    expect([waiting, owners]).toEqual([0, []]);
  });

  it("has the share of a lost helper done again", async () => {
    const program = { driver: "lossy", peerbuf: "", files: "", runs: "" };
    const door = await openDoor(redis.url);
    onTestFinished(() => door.close());
    const lost = helperProcess(redis.url, { program, source }, "--dies");
    const handedOut = handOut([campaign], { door, program, shareSchedules: 150 });
    await lost.exited;

    const left = helperProcess(redis.url, { program, source });
    const [report] = await handedOut;
    left.end();
    await left.exited;

    const whole = await exploreInWorkers(campaign, { workers: 1 });
    expect(report).toEqual(whole);
  });

  it("refuses to help with a driver whose files are others", async () => {
    const cwd = folderWith({
      "driver.ts": heapWith(""),
      "other.ts": `import "./part.ts";\n${heapWith("")}`,
      "part.ts": "export {};",
    });
    const helper = command(cwd, ["explore", "other.ts", "--join", redis.url]);
    const explore = ["explore", "driver.ts", "--schedules", "800", "--queue", redis.url];
    const shared = await untilRefused(helper, () => peerbuf(explore, { cwd }));

    const { code, stderr } = await helper.ended;

    expect(shared.code).toBe(0);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /other\.ts: the campaign is of another program: the driver's files differ/,
    );
  });

  it("ends a driver that hangs in bounded time", async () => {
    const atHome = 'return { target: "system", ranges: pages.ranges };';
    const inThread = heapWith(`place() { if (!isMainThread) for (;;); ${atHome} },`);
    const hangs = `import { isMainThread } from "node:worker_threads";\n${inThread}`;
    const cwd = folderWith({ "driver.ts": hangs });
    const argv = ["explore", "driver.ts", "--queue", redis.url, "--timeout", "3", "--workers", "2"];

    const ran = await peerbuf(argv, { cwd });

    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain("made no progress within 3 s");
  });

  it("is refused, in a sentence, by a Redis that only reads", async () => {
    const replica = await startRedis("--replicaof", "127.0.0.1 1");
    onTestFinished(() => replica.stop());
    const cwd = folderWith({ "driver.ts": heapWith("") });

    const ran = await peerbuf(["explore", "driver.ts", "--queue", replica.url], { cwd });

    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr).toMatch(
      /^peerbuf: redis:.*this Redis cannot keep a campaign \(READONLY.*\n$/,
    );
  });

  it("is over, in a sentence, when Redis goes away or forgets", async () => {
    const mortal = await startRedis();
    const gone = await openDoor(mortal.url, { awayMs: 500 });
    const forgetful = await openDoor(redis.url);
    onTestFinished(() => Promise.all([gone.close(), forgetful.close()]).then(() => undefined));
    await forgetful.announce("a-campaign");
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
    await mortal.stop();

    await expect(gone.lost).rejects.toThrow(/Redis has gone away and not come back in 0\.5 s/);
    await expect(forgetful.lost).rejects.toThrow(/Redis has forgotten the campaign/);
  });
});

describe("an address", () => {
  let silent: Server;
  let wrong: Server;

  beforeAll(async () => {
    silent = createServer((socket) => socket.on("error", () => undefined));
    wrong = createServer((socket) => {
      socket.on("error", () => undefined).end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (const server of [silent, wrong]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
  });

  afterAll(() => {
    silent.close();
    wrong.close();
  });

  const portOf = (server: Server): number => (server.address() as { port: number }).port;

  it.each([
    ["that is none", () => "nowhere", /this is no address of a Redis/],
    ["of something else", () => "http://127.0.0.1", /this is no address of a Redis/],
    [
      "where nobody listens",
      () => "redis://127.0.0.1:1",
      /no Redis that can be used .*ECONNREFUSED/,
    ],
    ["of a name that is none", () => "redis://nowhere.invalid", /no Redis that can be used/],
    [
      "where nobody answers",
      () => `redis://127.0.0.1:${portOf(silent)}`,
      /no Redis that can be used/,
    ],
    ["of another service", () => `redis://127.0.0.1:${portOf(wrong)}`, /no Redis that can be used/],
  ])("%s is refused", async (_name, url, message) => {
    const error = await openDoor(url(), { connectMs: 500 }).catch((refusal: unknown) => refusal);

    expect(error).toBeInstanceOf(InputError);
    expect(String(error)).toMatch(message);
  });

  it.skipIf(!existsSync(CHILD))(
    "is told of in a sentence, to whoever hands out or helps",
    async () => {
      const cwd = folderWith({ "driver.ts": heapWith("") });

      for (const flag of ["--queue", "--join"]) {
        const ran = await peerbuf(["explore", "driver.ts", flag, "redis://127.0.0.1:1"], { cwd });
        expect(ran).toMatchObject({ code: 2, stdout: "" });
        expect(ran.stderr).toMatch(
          /^peerbuf: redis:.*no Redis that can be used answers there.*\n$/,
        );
      }
    },
  );

  it.skipIf(!HAS_REDIS)(
    `with the wrong password is refused, and never printed${WHY_NOT}`,
    async () => {
      const redis = await startRedis("--requirepass", "secret");
      onTestFinished(() => redis.stop());
      const wrongUrl = redis.url.replace("//", "//:guessed@");

      await expect(openDoor(redis.url)).rejects.toThrow(/this Redis wants a password/);
      await expect(openDoor(wrongUrl)).rejects.toThrow(/\*\*\*.*refuses name and password/);
      await expect(openDoor(wrongUrl)).rejects.not.toThrow(/guessed/);
      await (await openDoor(redis.url.replace("//", "//:secret@"))).close();
    },
  );
});

interface Running {
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  interrupt(): Running["ended"];
}

/** The command in a process of its own, as on another machine. */
function command(cwd: string, argv: readonly string[]): Running {
  const child = spawn(process.execPath, [BIN, ...argv], { cwd });
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (piece) => {
      printed[name] += piece;
    });
  }
  const ended: Running["ended"] = new Promise((resolve) => {
    child.on("close", (code) => resolve({ code, ...printed }));
  });
  return {
    ended,
    interrupt() {
      child.kill("SIGINT");
      return ended;
    },
  };
}

/** Explores again until the helper, which starts in its own time, was asked and has refused. */
async function untilRefused<T>(helper: Running, explore: () => Promise<T>): Promise<T> {
  let isOver = false;
  void helper.ended.then(() => {
    isOver = true;
  });
  for (;;) {
    const result = await explore();
    if (isOver) {
      return result;
    }
  }
}

function helperProcess(url: string, order: object, ...flags: readonly string[]) {
  const file = fileURLToPath(new URL("./queue-helper.mjs", import.meta.url));
  const child = spawn(process.execPath, [file, url, JSON.stringify(order), ...flags], {
    stdio: "inherit",
  });
  return {
    exited: new Promise<void>((resolve) => child.once("exit", () => resolve())),
    end: () => child.kill("SIGTERM"),
  };
}
