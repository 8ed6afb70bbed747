/** peerbuf explore: the same answer with any number of threads, and an end in bounded time whatever the driver does. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { driverReportShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, peerbuf, type Ran } from "./console.ts";
import { heapWith } from "./heap-module.ts";

const BIN = fileURLToPath(new URL("../bin/peerbuf.js", import.meta.url));
const isBuilt = existsSync(
  fileURLToPath(new URL("../dist/driver-kit/kit-child.js", import.meta.url)),
);

/** From the second thousand of buffers on: neither loading nor opening shows it. */
const LATE = "globalThis.count = (globalThis.count ?? 0) + 1; if (globalThis.count > 1000)";
const AT_HOME = 'return { target: "system", ranges: pages.ranges };';
const late = (what: string): string => heapWith(`place() { ${LATE} ${what}; ${AT_HOME} },`);

function exploring(text: string, ...argv: readonly string[]): Promise<Ran> {
  const cwd = emptyFolder();
  writeFileSync(join(cwd, "driver.ts"), text);
  return peerbuf(["explore", "driver.ts", ...argv], { cwd });
}

describe.skipIf(!isBuilt)("explore (run npm run build if this is skipped)", () => {
  it.each([
    ["keeps the rules", heapWith(""), 0],
    ["breaks one", heapWith("release() {},"), 1],
  ])(
    "answers the same byte by byte with 1 and with 3 threads for a driver that %s",
    async (_name, text, code) => {
      const options = ["--schedules", "800", "--seed", "7", "--json"];

      const one = await exploring(text, ...options, "--workers", "1");
      const three = await exploring(text, ...options, "--workers", "3");

      expect(one.code).toBe(code);
      expect(driverReportShape.safeParse(JSON.parse(one.stdout)).error).toBeUndefined();
      expect(three).toEqual(one);
    },
  );

  it("tells which steps of the protocol were seen, and which never", async () => {
    const { stdout } = await exploring(heapWith(""), "--schedules", "200", "--workers", "1");

    expect(stdout).toMatch(/Of the protocol's 19 steps they saw \d+, in \d+ different pairs\./);
    expect(stdout).toMatch(/Never seen: .*\bmove\b/);
  });

  it("replays a failing run from its token", async () => {
    const text = heapWith("release() {},");
    const first = await exploring(text, "--schedules", "500", "--json");
    const { rule, token } = JSON.parse(first.stdout).violations[0];

    const again = await exploring(text, "--replay", token, "--json");

    expect(again.code).toBe(1);
    expect(JSON.parse(again.stdout).violations[0]).toMatchObject({ rule, token });
  });

  it("refuses a driver that no scenario can begin with", async () => {
    const never = heapWith("").replace("const pages", 'throw new Error("never"); const pages');

    const ran = await exploring(never);

    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr).toContain("no scenario can begin");
  });

  it.each([
    ["--workers", "0"],
    ["--workers", "many"],
    ["--strategy", "luck"],
  ])("refuses %s %s", async (...argv) => {
    expect(await exploring(heapWith(""), ...argv)).toMatchObject({ code: 2, stdout: "" });
  });

  it("refuses two things to do at once", async () => {
    const ran = await exploring(heapWith(""), "--queue", "redis://x", "--join", "redis://x");

    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain("--queue --join: these are different things to do");
  });
});

describe.skipIf(!isBuilt)("a driver that goes wrong late", () => {
  it.each([
    ["loops for ever", "for (;;) {}", "1", /made no progress within 4 s/],
    ["loops for ever", "for (;;) {}", "2", /made no progress within 4 s/],
    ["ends the process", "process.exit(9)", "1", /ended the process with code 9/],
    [
      "eats all memory",
      "for (const all: object[] = []; ; ) all.push({ all })",
      "1",
      /took more than 200 MiB/,
    ],
  ])(
    "%s (%s, %s threads) is stopped, and what was found is told",
    async (_name, what, workers, why) => {
      const limits = ["--timeout", "4", "--memory", "200", "--workers", workers];

      const ran = await exploring(late(what), "--schedules", "4000", "--json", ...limits);

      const report = JSON.parse(ran.stdout);
      expect(driverReportShape.safeParse(report).error).toBeUndefined();
      expect(ran.code).toBe(1);
      expect(report.outcome).toBe("unfinished");
      expect(report.stopped.why).toMatch(why);
    },
  );

  it("never allocates a buffer: a finding, and not one about opening it", async () => {
    const never = heapWith("").replace("const pages", "for (;;) {} const pages");

    const ran = await exploring(never, "--timeout", "4", "--workers", "1");

    expect(ran).toMatchObject({ code: 1, stderr: "" });
    expect(ran.stdout).toMatch(/^Unfinished: .* within 4 s, in heap\/[a-z-]+ of the exploration/);
  });

  it("ends every thread it gets: that is its finding", async () => {
    const deadly = heapWith(`place() { if (!isMainThread) process.exit(9); ${AT_HOME} },`);
    const text = `import { isMainThread } from "node:worker_threads";\n${deadly}`;

    const ran = await exploring(text, "--schedules", "400", "--workers", "2");

    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(
      /Unfinished.*: the driver runs \d+ to \d+ of "heap\/[a-z-]+" have ended 3 workers/,
    );
  });
});

describe.skipIf(!isBuilt)("what only a driver's thread throws", () => {
  const inThreads = (what: string, options: readonly string[]): Promise<Ran> => {
    const driver = heapWith("", `if (!isMainThread) { ${what} }`);
    const text = `import { isMainThread } from "node:worker_threads";\n${driver}`;
    return exploring(text, "--schedules", "400", "--workers", "2", ...options);
  };

  it.each(['new Error("boom")', "undefined"])("in a timer, %s: unfinished", async (what) => {
    const ran = await inThreads(`setTimeout(() => { throw ${what}; });`, []);

    expect(ran).toMatchObject({ code: 1, stderr: "" });
    expect(ran.stdout).toMatch(/^Unfinished: .* threw in a timer or callback of its own/);
  });

  it("in a promise: a broken rule, counted over all threads", async () => {
    const ran = await inThreads('void Promise.reject(new Error("card gone"));', ["--json"]);

    expect(ran.code).toBe(1);
    expect(JSON.parse(ran.stdout).violations).toMatchObject([{ rule: "PLT-035" }]);
    expect(Number.parseInt(ran.stderr, 10)).toBeGreaterThanOrEqual(400);
  });
});

describe.skipIf(!isBuilt || process.platform !== "linux")("a person who has seen enough", () => {
  it.each(["1", "2"])(
    "is told what was found so far, with %s threads and exit code 130",
    async (workers) => {
      const running = start(heapWith(""), [
        "--schedules",
        "9000000",
        "--workers",
        workers,
        "--json",
      ]);
      await explores(running.child);
      running.child.kill("SIGINT");

      const { code, stdout } = await running.ended;

      expect(code).toBe(130);
      expect(JSON.parse(stdout)).toMatchObject({ outcome: "interrupted", violations: [] });
      expect(kitsOf(running.child)).toEqual([]);
    },
  );

  it("leaves no process behind that hangs in the driver, however the command ends", async () => {
    const running = start(late("for (;;) {}"), ["--schedules", "9000000", "--workers", "1"]);
    await explores(running.child);
    const kits = kitsOf(running.child);
    running.child.kill("SIGKILL");
    await running.ended;

    await until(() => kits.every((pid) => !existsSync(`/proc/${pid}/cmdline`)));
    expect(kits).toHaveLength(1);
  });
});

function start(text: string, argv: readonly string[]) {
  const cwd = emptyFolder();
  writeFileSync(join(cwd, "driver.ts"), text);
  const child = spawn(process.execPath, [BIN, "explore", "driver.ts", ...argv], { cwd });
  let stdout = "";
  child.stdout.on("data", (piece) => {
    stdout += piece;
  });
  const ended = new Promise<{ code: number | null; stdout: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, stdout }));
  });
  return { child, ended };
}

/** The process of the driver is there, and has been for so long that it explores. */
async function explores(child: ChildProcess): Promise<void> {
  await until(() => kitsOf(child).length === 1);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
}

/** Processes that run a driver for this command. */
function kitsOf({ pid }: ChildProcess): string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) {
      return false;
    }
    const file = `/proc/${name}/cmdline`;
    const line = existsSync(file) ? readFileSync(file, "utf8").split("\0") : [];
    return line.some((word) => word.endsWith("kit-child.js")) && line.includes(String(pid));
  });
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
