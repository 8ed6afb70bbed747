import { describe, expect, it } from "vitest";
import type { Io } from "../src/io.ts";
import { startProgress } from "../src/progress.ts";

/** What a progress over ten steps of `stepMs` draws on stderr. */
async function drawn(stepMs: number, isTerminal: boolean, columns = 100): Promise<string> {
  let text = "";
  let nowMs = 0;
  const stderr = {
    isTerminal,
    columns,
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

  it("says how much is done, how fast, since when and for how long still", async () => {
    const text = await drawn(20_000, true);

    expect(text).toContain("50 %  5/10  0.1/s  1:40 gone  1:40 left");
    expect(text).toContain("100 %  10/10  0.1/s  3:20 gone\r");
  });

  it("leaves out what a narrow line has no room for, for a line that wraps stays", async () => {
    const lines = (await drawn(400, true, 48)).split("\r\u001b[K");

    expect(lines).toContain("pairs ███████████████░░░░░░░░░░░░░░░ 50 %  5/10");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(48);
  });

  it("draws nothing when nobody is looking", async () => {
    expect(await drawn(400, false)).toBe("");
  });
});
