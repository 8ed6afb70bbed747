/** peerbuf check on files of all kinds: drivers, broken drivers, and what is no driver at all. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@peerbuf/core";
import { driverReportShape, loadDriver } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, peerbuf, type Ran } from "./console.ts";
import { heapWith } from "./heap-module.ts";

const isBuilt = existsSync(
  fileURLToPath(new URL("../dist/driver-kit/kit-child.js", import.meta.url)),
);

/** Runs a command on a module with this text. */
function onModule(text: string, argv: readonly string[] = [], name = "driver.ts"): Promise<Ran> {
  const cwd = emptyFolder();
  writeFileSync(join(cwd, name), text);
  return peerbuf(["check", name, "--schedules", "200", ...argv], { cwd });
}

describe.skipIf(!isBuilt)("check (run npm run build if this is skipped)", () => {
  it("finds nothing in a driver that keeps the rules", async () => {
    const ran = await onModule(heapWith(""));

    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toMatch(/^heap, an exporter: no rule is broken\./);
  });

  it("names the rule that is broken, where it is written, and how to see it again", async () => {
    const ran = await onModule(heapWith("release() {},"), ["--json"]);

    const report = JSON.parse(ran.stdout);
    expect(driverReportShape.safeParse(report).error).toBeUndefined();
    expect(ran.code).toBe(1);
    expect(report.outcome).toBe("broken");
    expect(report.violations.map(({ rule }: { rule: string }) => rule)).toContain("EXP-021");
    expect(report.violations[0].source).not.toBe("");
  });

  it("tells a rule that is broken in many places once, and how often it was", async () => {
    const { stdout } = await onModule(heapWith("release() {},"));

    expect(stdout.match(/^EXP-021 /gm)?.length).toBeLessThanOrEqual(2); // By the suites, and by the explorer.
    expect(stdout).toMatch(/\d+ more of this rule \(--json has all\)/);
  });

  it.each([
    ["answers nothing", "const pages", "return null as never; const pages"],
    ["answers a promise", "allocate(", "async allocate("],
  ])("an exporter whose allocate %s is told so", async (_name, from, to) => {
    const ran = await onModule(heapWith("").replace(from, to), ["--json"]);

    const [first] = JSON.parse(ran.stdout).violations;
    expect(first).toMatchObject({ rule: "EXP-001" });
    expect(first.text).toContain("allocate answered no storage");
  });

  it("is not told what to answer by what the module sends to its parent", async () => {
    const ran = await onModule(`${heapWith("")}\nprocess.send?.({ kind: "report" });`);

    expect(ran).toMatchObject({ code: 0, stderr: "" });
  });

  it("takes plain JavaScript", async () => {
    const plain = heapWith("").replaceAll(": number", "").replaceAll(": object", "");

    const ran = await onModule(plain, [], "driver.mjs");

    expect(ran.code).toBe(0);
  });

  it("takes a driver under another name when told so", async () => {
    const text = heapWith("").replace("export default", "export const mine =");

    expect((await onModule(text, ["--export", "mine"])).code).toBe(0);
    expect((await onModule(text)).stderr).toContain("--export mine");
  });
});

describe("what is no driver", () => {
  it.each([
    ["a file that is not there", undefined, /there is no such file/],
    ["an empty file", "", /it has no default export/],
    ["something else", "export default 42;", /its export "default" is 42, not a driver/],
    [
      "a function",
      "export default () => ({ role: 'exporter' });",
      /its export "default" is a function, not a driver/,
    ],
    ["a syntax error", "const a = {{;", /line 1, column \d+: it does not parse/],
    ["a throw at load", 'throw new Error("boom");', /it throws when it is loaded: boom/],
    ["a throw of nothing", "throw undefined;", /it throws when it is loaded/],
    [
      "an import of nothing",
      'import nowhere from "nowhere-to-be"; export default nowhere;',
      /Cannot find .*nowhere-to-be/,
    ],
    [
      "a definition that core refuses",
      'import { defineExporter } from "@peerbuf/core"; export default defineExporter({ name: "Big Name" });',
      /needs a name of letters/,
    ],
    [
      "an importer without a way to use it",
      'import { defineImporter } from "@peerbuf/core"; export default defineImporter({ name: "lonely", needsDevice: true, open: () => ({ api: {} }) });',
      /without a way to use it/,
    ],
    ["a check that is none", `${heapWith("")} export const check = 3;`, /its "check" is 3/],
  ])("%s is refused with what to do", async (_name, text, message) => {
    const path = join(emptyFolder(), "driver.ts");
    if (text !== undefined) {
      writeFileSync(path, text);
    }

    await expect(loadDriver(path)).rejects.toThrow(message);
    await expect(loadDriver(path)).rejects.toBeInstanceOf(InputError);
  });
});

describe.skipIf(!isBuilt)("what cannot be opened", () => {
  it.each([
    ["nowhere.ts", /nowhere.ts: there is no such file/],
    [".", /this is a folder/],
    ["/dev/null", /this is no \.ts, \.js or \.mjs file/],
    [heapWith("", 'throw new Error("no card");'), /cannot be opened: .*no card/],
    ["process.exit(0);", /loading the module ended the process with code 0/],
    [heapWith("", "process.exit(7);"), /opening the driver ended the process with code 7/],
  ])("is told of, with exit code 2 and nothing on stdout %#", async (text, message) => {
    const isPath = !text.includes(";");
    const ran = isPath ? await peerbuf(["check", text]) : await onModule(text);

    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr).toMatch(message);
  });

  it.each([
    ["loops for ever at load", "for (;;) {}", /loading the module did not come back within 1 s/],
    [
      "waits for ever at load",
      "setInterval(() => {}, 1000); await new Promise(() => {}); export default 1;",
      /loading the module did not come back within 1 s/,
    ],
    [
      "loops for ever at open",
      heapWith("", "for (;;) {}"),
      /opening the driver did not come back within 5 s/,
    ],
    [
      "takes buffers for ever at open",
      heapWith("", "const all = []; for (;;) all.push(new Uint8Array(1 << 22).fill(1));"),
      /opening the driver took more than 200 MiB of memory/,
    ],
    [
      "takes objects for ever at open",
      heapWith("", "const all: object[] = []; for (;;) all.push({ all });"),
      /opening the driver took more than 200 MiB of memory/,
    ],
  ])("a module that %s is stopped", async (_name, text, message) => {
    const seconds = /within (\d+) s/.exec(message.source)?.[1] ?? "60";
    const limits = ["--memory", "200", "--timeout", seconds];

    const ran = await onModule(text, limits);

    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr).toMatch(message);
    expect(ran.stderr).toContain(/loading/.test(message.source) ? "loaded defines" : "open()");
  });

  it("a driver that hangs in a check is a finding: it is one, and it does not answer", async () => {
    const ran = await onModule(heapWith("place() { for (;;) {} },"), ["--timeout", "5", "--json"]);

    const report = JSON.parse(ran.stdout);
    expect(driverReportShape.safeParse(report).error).toBeUndefined();
    expect(ran.code).toBe(1);
    expect(report).toMatchObject({ outcome: "unfinished", stopped: { stage: "contract" } });
  });
});

const BOOM = 'setTimeout(() => { throw new Error("boom"); });';
const NOBODY_LOOKS = 'void Promise.reject(new Error("card gone"));';

describe.skipIf(!isBuilt)("what a driver throws where nobody can catch it", () => {
  it("in a timer, when it is loaded: no driver, in one sentence", async () => {
    const wait = "await new Promise((done) => setTimeout(done, 500));";

    const ran = await onModule(`${BOOM} ${wait} ${heapWith("")}`);

    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr).toContain(
      "loading the module threw in a timer or callback of its own (boom)",
    );
    expect(ran.stderr).not.toMatch(/^ +at /m);
  });

  it("in a timer, in a run: unfinished, and why", async () => {
    const ran = await onModule(heapWith("", BOOM));

    expect(ran).toMatchObject({ code: 1, stderr: "" });
    expect(ran.stdout).toMatch(/^Unfinished: the driver .*threw in a timer .*\(boom\)/);
  });

  it.each([
    ["undefined", "undefined"],
    ["Object.create(null)", "something without a text"],
  ])("in a timer, %s: said as well", async (what, words) => {
    const ran = await onModule(heapWith("", BOOM.replace('new Error("boom")', what)));

    expect(ran).toMatchObject({ code: 1, stderr: "" });
    expect(ran.stdout).toContain(`of its own (${words})`);
  });

  it("in a promise: a broken rule, and stderr has the count in one line", async () => {
    const ran = await onModule(heapWith("", NOBODY_LOOKS), ["--json"]);

    const report = JSON.parse(ran.stdout);
    expect(driverReportShape.safeParse(report).error).toBeUndefined();
    expect(ran.code).toBe(1);
    expect(report.violations).toMatchObject([{ rule: "PLT-035", subject: "heap" }]);
    expect(ran.stderr).toMatch(
      /^\d+ promises of the driver were rejected and nobody looked: card gone\n$/,
    );
  });
});
