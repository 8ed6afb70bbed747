/** C program: what this machine's C compiler makes of the kernel's headers, to compare our numbers with. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Compiles a body of `main` and gives what it prints. */
export function run(headers: readonly string[], body: string): string {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-headers-"));
  try {
    const [source, program] = [join(folder, "main.c"), join(folder, "main")];
    const includes = ["stdio.h", "string.h", ...headers].map((file) => `#include <${file}>`);
    const main = `int main(void) {\n${body}\nreturn 0; }\n`;
    writeFileSync(source, `#define _GNU_SOURCE\n${includes.join("\n")}\n${main}`);
    execFileSync("cc", ["-o", program, source], { stdio: ["ignore", "ignore", "pipe"] });
    return execFileSync(program, { encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Can a program with these headers be compiled here? Says why not. */
export function isMissing(headers: readonly string[]): boolean {
  try {
    run(headers, "");
    return false;
  } catch (error) {
    const why = (error as Error).message.split("\n").slice(0, 2).join(" ");
    console.warn(`no check against ${headers.join(", ")}: ${why}`);
    return true;
  }
}

/** Numbers of macros, by name. */
export function macros(
  headers: readonly string[],
  names: readonly string[],
): Record<string, number> {
  const body = names.map((macro) => `printf("%lu\\n", (unsigned long)(${macro}));`).join(" ");
  const numbers = run(headers, body).trim().split("\n").map(Number);
  return Object.fromEntries(names.map((macro, index) => [macro, numbers[index] as number]));
}

/** Bytes of a struct that C has filled. */
export const bytesOf = (headers: readonly string[], type: string, fill: string): Uint8Array =>
  Uint8Array.from(
    run(
      headers,
      `${type} it; memset(&it, 0, sizeof it); ${fill} for (unsigned i = 0; i < sizeof it; i++) printf("%u ", ((unsigned char *)&it)[i]);`,
    )
      .trim()
      .split(" ")
      .map(Number),
  );
