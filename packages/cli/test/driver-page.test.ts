/**
 * docs/writing-a-driver.md, typed in: modules are saved under the name behind `ts`, commands are run, and what
 * they print is what the page says. `UPDATE_DOCS=1` writes it into the page instead.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { emptyFolder, peerbuf } from "./console.ts";

const PAGE = fileURLToPath(new URL("../../../docs/writing-a-driver.md", import.meta.url));
const CHILD = fileURLToPath(new URL("../dist/driver-kit/kit-child.js", import.meta.url));

it.skipIf(!existsSync(CHILD))(
  "docs/writing-a-driver.md does what it says (run npm run build if this is skipped)",
  async () => {
    const cwd = emptyFolder();
    const page = readFileSync(PAGE, "utf8");
    let said = page;
    let printed = "";
    for (const [block, head = "", text = ""] of page.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)) {
      const [language, name] = head.split(" ");
      if (language === "ts" && name !== undefined) {
        writeFileSync(join(cwd, name), text);
      } else if (language === "sh") {
        printed = await typed(text, cwd);
      } else if (language === "text") {
        said = said.replace(block, () => `\`\`\`text\n${printed}\`\`\``);
      }
    }
    if (process.env["UPDATE_DOCS"] === "1") {
      writeFileSync(PAGE, said);
    }

    expect(said).toBe(readFileSync(PAGE, "utf8"));
  },
);

/** Each line is a command; `exit N` in its comment is the exit code that is expected. */
async function typed(text: string, cwd: string): Promise<string> {
  let printed = "";
  for (const line of text.trimEnd().split("\n")) {
    const [command = "", comment = ""] = line.split(" # ");
    const ran = await peerbuf(command.trim().split(" ").slice(2), { cwd });
    expect({ command, code: ran.code, stderr: ran.stderr }).toEqual({
      command,
      code: Number(/exit (\d+)/.exec(comment)?.[1] ?? 0),
      stderr: "",
    });
    printed = ran.stdout;
  }
  return printed;
}
