import { EXIT, type Io, main, type Output, PipeClosed } from "peerbuf";
import { describe, expect, it } from "vitest";
import { FIXTURES, peerbuf } from "./console.ts";

/** Runs a command whose stdout takes what `write` takes. */
async function runInto(argv: string[], write: (text: string) => Promise<void>) {
  let told = "";
  const output = (take: Output["write"]): Output => ({
    isTerminal: false,
    columns: 100,
    write: take,
  });
  const stderr = output(async (text) => {
    told += text;
  });
  const io: Io = { stdout: output(write), stderr, cwd: process.cwd(), env: {} };
  return { code: await main(argv, io), told };
}

describe("main", () => {
  it("a reader that went away ends the command quietly", async () => {
    const { code, told } = await runInto(["matrix"], async () => {
      throw new PipeClosed("gone");
    });

    expect({ code, told }).toEqual({ code: EXIT.OK, told: "" });
  });

  it("what nobody foresaw is told as a bug of ours, with its stack", async () => {
    const { code, told } = await runInto(["matrix"], async () => {
      throw new TypeError("the disk is made of cheese");
    });

    expect(code).toBe(70);
    expect(told).toMatch(/^peerbuf: this is a bug in peerbuf, please report it/);
    expect(told).toContain("TypeError: the disk is made of cheese\n    at ");
  });

  it("a matrix is written piece by piece, each after the reader took the one before", async () => {
    const pieces: number[] = [];
    let isTaking = false;

    const argv = ["matrix", "--all", "--json", "--capture", `${FIXTURES}/server-01`];
    const { code } = await runInto(argv, async (text) => {
      expect(isTaking).toBe(false);
      isTaking = true;
      pieces.push(text.length);
      await new Promise((resolve) => setImmediate(resolve));
      isTaking = false;
    });

    expect(code).toBe(0);
    expect(pieces.length).toBeGreaterThan(2);
    expect(Math.max(...pieces)).toBeLessThan(80_000);
  });

  it.each([[["--help"]], [["matrix", "--help"]], [["--version"]]])(
    "%j is an answer: on stdout, exit code 0",
    async (argv) => {
      const { code, stdout, stderr } = await peerbuf(argv);

      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).not.toBe("");
    },
  );

  it("the list of commands says of each what it says of itself", async () => {
    const list = (await peerbuf(["--help"])).stdout;
    const names = [...list.matchAll(/^ {2}(\w+)(?: .*)?$/gm)].map(([, name]) => name as string);
    const start = list.indexOf("Commands:");
    const said = list.slice(start, list.indexOf("  help [command]")).replace(/\s+/g, " ");

    expect(names.length).toBeGreaterThan(10);
    for (const name of names.filter((each) => each !== "help")) {
      const { stdout } = await peerbuf([name, "--help"]);
      const own = /^Usage: peerbuf (.*)\n\n([\s\S]*?)\n\n/.exec(stdout);
      const term = own?.[1]?.replace(/^new .*/, "new");
      expect(said).toContain(`${term} ${own?.[2]?.replace(/\s+/g, " ")}`);
    }
  });
});
