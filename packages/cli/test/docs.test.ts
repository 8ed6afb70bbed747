/**
 * The pages that tell people what to type, typed in: every code block of the command's pages is run.
 *
 * - `sh`: each line is a command, or several with `&&`; `exit N` in its comment is the exit code that is
 *   expected (0 unless stated, `any` for a measurement); `> FILE` writes into the page's own folder.
 *   `npm ci` and `npm test` are what led here.
 * - `text`: what the command before it printed. `UPDATE_DOCS=1` writes it into the page instead.
 * - `yaml`: saved under the name in its first line.
 * - `json NAME`: an answer of that command's shape.
 * - `js`: one of the files in `examples/`, which is run.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { benchShape, explainShape, matrixShape, runShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, peerbuf } from "./console.ts";

const execute = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const SHAPES = { run: runShape, matrix: matrixShape, explain: explainShape, bench: benchShape };

/** What each example prints. */
const SAYS: Readonly<Record<string, string>> = {
  "share-a-buffer.js": "the bytes were in device memory and went by bus-addr",
  "two-machines.js": "true the hashes are equal",
};

interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? "",
    text: match[2] ?? "",
    line: page.slice(0, match.index).split("\n").length,
  }));
}

/** Does what a page says, block by block, in a folder of its own. */
class Reader {
  readonly #cwd: string;
  #printed = "";

  constructor(cwd: string) {
    this.#cwd = cwd;
  }

  /** What the last command printed. */
  get printed(): string {
    return this.#printed;
  }

  async follow({ language, text }: Block): Promise<void> {
    const [kind, shape] = language.split(" ");
    switch (kind) {
      case "sh":
        for (const line of text.trimEnd().split("\n")) {
          await this.#type(line);
        }
        break;
      case "text":
        expect(this.#printed).toBe(text);
        break;
      case "yaml":
        this.#save(text);
        break;
      case "js":
        await runExample(text);
        break;
      case "json": {
        const schema = SHAPES[shape as keyof typeof SHAPES];
        expect(schema.safeParse(JSON.parse(text)).error).toBeUndefined();
        break;
      }
      default:
        expect.fail(`a code block of an unknown kind: "${language}"`);
    }
  }

  #save(text: string): void {
    const name = /^# (\S+\.yaml)\n/.exec(text)?.[1];
    expect(name, "a scenario needs its file name in the first line").toBeDefined();
    writeFileSync(join(this.#cwd, name as string), text);
  }

  async #type(line: string): Promise<void> {
    const [spoken = "", comment = ""] = line.split(/\s+# /);
    const wanted = /\bexit (\d+|any)\b/.exec(comment)?.[1] ?? "0";
    const ours = spoken.split(" && ").filter((command) => !/^npm (ci|test)$/.test(command));
    for (const command of ours) {
      const [call = "", target] = command.trim().split(" > ");
      expect(call).toMatch(/^npx peerbuf( |$)/);
      const { code, stdout, stderr } = await peerbuf(call.split(" ").slice(2), { cwd: this.#cwd });
      expect({ command, code: wanted === "any" ? wanted : String(code), stderr }).toEqual({
        command,
        code: wanted,
        stderr: "",
      });
      this.#printed = stdout;
      if (target !== undefined) {
        writeFileSync(join(this.#cwd, target.trim()), stdout);
      }
    }
  }
}

/** Has to be a file that people can run as it stands; runs it as they would, on the built packages. */
async function runExample(text: string): Promise<void> {
  const names = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".js"));
  const name = names.find((each) => readFileSync(join(ROOT, "examples", each), "utf8") === text);
  expect(name, "the code is not that of a file in examples/").toBeDefined();
  const { stdout } = await execute(process.execPath, [join("examples", name ?? "")], { cwd: ROOT });
  expect(stdout).toContain(SAYS[name ?? ""]);
}

/** Pages, and the folder in which their commands are typed; an empty one where none is named. */
const PAGES: readonly (readonly [page: string, folder: string])[] = [
  ["README.md", ""],
  ["docs/cli.md", ""],
  ["docs/scenario.md", ""],
  ["docs/doctor.md", "test/fixtures/doctor"],
];

/** Puts what the commands print into the page, to be looked at before it is committed. */
async function updatePage(path: string, reader: Reader): Promise<void> {
  const page = readFileSync(join(ROOT, path), "utf8");
  let updated = "";
  let done = 0;
  for (const block of blocksOf(page)) {
    const start = page.indexOf(`\`\`\`${block.language}\n${block.text}\`\`\``, done);
    const content = start + 3 + block.language.length + 1;
    const isAnswer = block.language === "text";
    if (!isAnswer) {
      await reader.follow(block);
    }
    updated += page.slice(done, content) + (isAnswer ? reader.printed : block.text);
    done = content + block.text.length;
  }
  writeFileSync(join(ROOT, path), updated + page.slice(done));
}

describe.each(PAGES)("%s", (path, folder) => {
  it("says what is true, block by block", async () => {
    const blocks = blocksOf(readFileSync(join(ROOT, path), "utf8"));
    const reader = new Reader(folder === "" ? emptyFolder() : join(ROOT, folder));

    expect(blocks.length).toBeGreaterThan(3);
    if (process.env["UPDATE_DOCS"] === "1") {
      await updatePage(path, reader);
      return;
    }
    for (const block of blocks) {
      await reader.follow(block).catch((error: unknown) => {
        throw new Error(`${path}:${block.line}: ${error}`);
      });
    }
  });
});

describe("docs/cli.md", () => {
  it("speaks of every command and every option", async () => {
    const page = readFileSync(join(ROOT, "docs/cli.md"), "utf8");
    const { stdout } = await peerbuf(["--help"]);
    const commands = [...stdout.matchAll(/^ {2}(\w+) \[options\]/gm)].map(([, name]) => name ?? "");

    expect(commands).toEqual([
      "run",
      "scenario",
      "doctor",
      "matrix",
      "explain",
      "topo",
      "capture",
      "fleet",
      "bufs",
      "check",
      "explore",
      "bench",
    ]);
    for (const command of commands) {
      expect(page).toContain(`## ${command}\n`);
      const help = (await peerbuf([command, "--help"])).stdout;
      expect(help, command).toContain("Example:\n  $ peerbuf ");
      for (const [, option = ""] of help.matchAll(/(--[a-z-]+)/g)) {
        expect(page.includes(option) || option === "--help", `${command} ${option}`).toBe(true);
      }
    }
  });
});

describe("examples", () => {
  const folder = join(ROOT, "examples");
  const page = readFileSync(join(folder, "README.md"), "utf8");
  const scenarios = readdirSync(folder).filter((name) => name.endsWith(".yaml"));

  it.each(scenarios)("%s ends as its README says", async (name) => {
    const row = page.split("\n").find((line) => line.includes(`](${name})`));
    const wanted = /exit code (\d)/.exec(row ?? "")?.[1] ?? "0";

    const { code, stderr } = await peerbuf(["run", join(folder, name)]);

    expect(row, `examples/README.md does not speak of ${name}`).toBeDefined();
    expect({ code: String(code), stderr }).toEqual({ code: wanted, stderr: "" });
  });
});
