import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emptyFolder, FIXTURES, peerbuf, type Ran } from "./console.ts";

const SYSFS = readFileSync(join(FIXTURES, "tiny-02", "sysfs.json"), "utf8");

/** Exit code 2, one message on stderr, nothing on stdout, no stack. */
function expectUsageError({ code, stdout, stderr }: Ran): void {
  expect({ code, stdout, stderr }).toMatchObject({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^peerbuf: .+\.\n$/);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stderr).not.toMatch(/\n +at /);
  expect(stderr).not.toContain("..");
}

describe("wrong usage is told in one line, with exit code 2", () => {
  it.each([
    [["matrx"], "unknown command 'matrx' (Did you mean matrix?)"],
    [["matrix", "--frobnicate"], "unknown option '--frobnicate'"],
    [["matrix", "extra"], "too many arguments"],
    [["matrix", "--json", "--csv"], "cannot be used with"],
    [["matrix", "--live", "--capture", "server-05"], "cannot be used with"],
    [["matrix", "--capture"], "argument missing"],
    [
      ["matrix", "--kernel", "2.4"],
      'kernel "2.4": the P2PDMA rules of this kernel are not known. Known: ',
    ],
    [["explain"], "missing required argument 'provider'"],
    [["explain", "13:00.0"], "missing required argument 'client'"],
    [["explain", "13:00.0", "banana"], "banana: this is not a PCI address"],
    [["explain", "13:00.0", "ff:1f.7"], "ff:1f.7: there is no such PCI function"],
    [["run", "a.yaml", "b.yaml"], "too many arguments"],
    [["run", "nowhere.yaml"], "nowhere.yaml: there is no such file"],
    [["run", "--kernel", "nine"], 'kernel "nine"'],
    [[], "say which command"],
  ])("peerbuf %j", async (argv, message) => {
    const cwd = emptyFolder();

    const ran = await peerbuf(argv, { cwd });

    expectUsageError(ran);
    expect(ran.stderr).toContain(message);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe("a capture that cannot be read is told in one line, with exit code 2", () => {
  const write = (cwd: string, name: string, content: string | Uint8Array): void =>
    writeFileSync(join(cwd, name), content);

  it.each<[string, (cwd: string) => void, string]>([
    ["is missing", () => undefined, "there is no such file or folder"],
    ["is empty", (cwd) => write(cwd, "c.json", ""), "the file is empty"],
    ["is cut", (cwd) => write(cwd, "c.json", SYSFS.slice(0, 20_000)), "c.json"],
    [
      "is binary",
      (cwd) => write(cwd, "c.json", new Uint8Array(5000).fill(0x9c)),
      "the format is not known",
    ],
    ["is another JSON", (cwd) => write(cwd, "c.json", '{"hello": "world"}'), "c.json"],
    ["is a list", (cwd) => write(cwd, "c.json", "[1, 2]"), "c.json"],
    [
      "has text where files should be",
      (cwd) => write(cwd, "c.json", '{"files": "no", "links": {}, "binary": {}}'),
      "c.json",
    ],
    [
      "is damaged gzip",
      (cwd) => write(cwd, "c.json", new Uint8Array([0x1f, 0x8b, 8, 0, ...Array(500).fill(0x9c)])),
      "gzip",
    ],
    [
      "is a cut tar",
      (cwd) => {
        writeFileSync(join(cwd, "c.json"), readFileSync(join(FIXTURES, "tiny-02", "sysfs.tar.gz")));
        truncateSync(join(cwd, "c.json"), 9000);
      },
      "c.json",
    ],
    ["contradicts itself", (cwd) => write(cwd, "c.json", contradictory()), "c.json"],
  ])("a capture that %s", async (_, make, message) => {
    const cwd = emptyFolder();
    make(cwd);
    const before = readdirSync(cwd);

    const explain = ["explain", "01:00.0", "02:00.0"];
    for (const command of [["matrix"], explain, ["doctor"], ["topo"], ["run"]]) {
      const ran = await peerbuf([...command, "--capture", "./c.json"], { cwd });

      expectUsageError(ran);
      expect(ran.stderr).toContain("c.json");
      expect(ran.stderr).toContain(message);
    }
    expect(readdirSync(cwd)).toEqual(before);
  });

  it("a capture larger than any machine's is refused before it is read", async () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "c.json"), "{");
    truncateSync(join(cwd, "c.json"), 2 ** 36); // Sparse: takes no room.

    expectUsageError(await peerbuf(["matrix", "--capture", "c.json"], { cwd }));
  });

  it("a folder that is no capture, and a name that is none", async () => {
    const cwd = emptyFolder();

    const folder = await peerbuf(["matrix", "--capture", cwd]);
    const name = await peerbuf(["matrix", "--capture", "no-such-machine"], { cwd });

    expectUsageError(folder);
    expect(folder.stderr).toContain("this folder is no capture");
    expectUsageError(name);
    expect(name.stderr).toContain("one of the embedded: server-05");
  });

  it("strange names in it are shown, and nothing a terminal would obey", async () => {
    const cwd = emptyFolder();
    write(cwd, "c.json", JSON.stringify({ files: { "a\u001b[2J\nb": 5 } }));

    const ran = await peerbuf(["matrix", "--capture", "c.json"], { cwd });

    expectUsageError(ran);
    expect(ran.stderr).toContain('files["a\\u001b[2J\\nb"]');
  });

  it("whatever is asked about, functions are found or refused, never a bug", async () => {
    const words = fc.constantFrom(
      "gpu",
      "nic",
      "nvme",
      "accel",
      "gpu0",
      "13:00.0",
      "0000:",
      ",",
      " ",
    );
    const text = fc.oneof(
      fc.array(words).map((parts) => parts.join("")),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(text, async (between) => {
        for (const command of ["doctor", "topo"]) {
          const argv = [command, "--capture", "server-05", `--between=${between}`];
          const { code, stdout } = await peerbuf(argv);
          expect([0, 1, 2]).toContain(code);
          expect(stdout === "").toBe(code === 2);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("cut anywhere, a capture is read or refused, never a bug", async () => {
    const cwd = emptyFolder();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: SYSFS.length }), async (length) => {
        writeFileSync(join(cwd, "cut.json"), SYSFS.slice(0, length));
        const { code } = await peerbuf(["matrix", "--capture", "cut.json"], { cwd });
        expect([0, 2]).toContain(code);
      }),
      { numRuns: 40 },
    );
  });
});

/** Two bridges that claim the same bus below them. */
function contradictory(): string {
  const capture = JSON.parse(SYSFS) as { files: Record<string, string> };
  const classes = Object.keys(capture.files).filter((path) => path.endsWith("/class"));
  for (const path of classes) {
    capture.files[path] = "not a number\n";
  }
  return JSON.stringify(capture);
}
