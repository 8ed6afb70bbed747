/** Console: runs the command in this process and keeps what it printed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Io, main, type Output } from "peerbuf";
import { onTestFinished } from "vitest";

export const FIXTURES: string = fileURLToPath(
  new URL("../../../test/fixtures/captures", import.meta.url),
);

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ConsoleOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly isTerminal?: boolean;
  readonly columns?: number;
}

export async function peerbuf(argv: readonly string[], options: ConsoleOptions = {}): Promise<Ran> {
  const stdout = new Paper(options);
  const stderr = new Paper(options);
  const io: Io = { stdout, stderr, cwd: options.cwd ?? process.cwd(), env: options.env ?? {} };
  const code = await main(argv, io);
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** A fresh empty folder, gone when the test is over. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

class Paper implements Output {
  readonly isTerminal: boolean;
  readonly columns: number;
  readonly #pieces: string[] = [];

  constructor({ isTerminal = false, columns = 100 }: ConsoleOptions) {
    this.isTerminal = isTerminal;
    this.columns = columns;
  }

  get text(): string {
    return this.#pieces.join("");
  }

  async write(text: string): Promise<void> {
    this.#pieces.push(text);
  }
}
