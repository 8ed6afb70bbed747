import { describe, expect, it } from "vitest";
import type { Io } from "../src/io.ts";
import { startProgress } from "../src/progress.ts";

/** What a progress over ten steps of `stepMs` draws on stderr. */
async function drawn(stepMs: number, isTerminal: boolean): Promise<string> {
  let text = "";
  let nowMs = 0;
  const stderr = {
    isTerminal,
    columns: 100,
    write: async (piece: string) => {
      text += piece;
    },
  };
  const io: Io = { stdout: stderr, stderr, cwd: "", env: {} };
  const progress = startProgress(io, "pairs", 10, () => nowMs);
  for (let done = 1; done <= 10; done++) {
    nowMs += stepMs;
    await progress.at(done);
  }
  await progress.end();
  return text;
}

describe("progress", () => {
  it("draws nothing for work of less than a second", async () => {
    expect(await drawn(90, true)).toBe("");
  });

  it("draws a bar after a second, and takes it away at the end", async () => {
    const text = await drawn(400, true);

    expect(text).toContain("pairs █████████░");
    expect(text).toContain("30 %");
    expect(text).not.toContain("20 %");
    expect(text.endsWith("\r\u001b[K")).toBe(true);
  });

  it("draws nothing when nobody is looking", async () => {
    expect(await drawn(400, false)).toBe("");
  });
});
