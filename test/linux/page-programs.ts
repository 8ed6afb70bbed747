/**
 * Page programs: the programs of a page, and what it says that they print.
 *
 * A program is a `js` block; its first line may name it (`// parent.mjs`) or say what it needs (`// needs: dma-buf`).
 * The next `text` block is what it prints. One that is named is run by the command in that block's first line; a
 * named one without such a block is run by another.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** The repository's root. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

export interface Program {
  readonly line: number;
  readonly name: string;
  readonly text: string;
  readonly needs: string;
  /** Undefined for one that is run by another. */
  readonly prints: string | undefined;
}

/** In the order of the page. */
export function programsIn(page: string): Program[] {
  const text = readFileSync(join(ROOT, page), "utf8");
  const blocks = [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)];
  const printed = (index: number): string | undefined =>
    blocks.slice(index + 1).find(([, language]) => language === "text")?.[2];
  const programs = blocks.flatMap((block, index) => {
    if (block[1] !== "js") {
      return [];
    }
    const [first = ""] = (block[2] ?? "").split("\n");
    const prints = (printed(index) ?? "").replace(/^node \S+\n/, "");
    return {
      line: text.slice(0, block.index).split("\n").length,
      name: /^\/\/ (\S+\.mjs)$/.exec(first)?.[1] ?? "program.mjs",
      text: block[2] ?? "",
      needs: /^\/\/ needs: (\S+)$/.exec(first)?.[1] ?? "nothing",
      prints,
    };
  });
  return programs.map((each) =>
    each.name === "child.mjs" ? { ...each, prints: undefined } : each,
  );
}

/** What it prints, run in a folder of its own with the page's other named programs beside it. */
export async function runProgram(
  programs: readonly Program[],
  program: Program,
  args: readonly string[] = [],
): Promise<string | undefined> {
  if (program.prints === undefined) {
    return undefined;
  }
  const folder = newFolder();
  try {
    for (const each of [...programs.filter(({ name }) => name !== "program.mjs"), program]) {
      writeFileSync(join(folder, each.name), packagesFrom(each.text));
    }
    const options = { cwd: folder, timeout: 60_000 };
    return (await execute(process.execPath, [program.name, ...args], options)).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function newFolder(): string {
  mkdirSync(tmpdir(), { recursive: true });
  return mkdtempSync(join(tmpdir(), "peerbuf-page-"));
}

/** The packages of this work tree, as they would be installed. */
const packagesFrom = (text: string): string =>
  text.replaceAll(/from "@peerbuf\/(\w+)"/g, `from "${ROOT}/packages/$1/dist/index.js"`);
