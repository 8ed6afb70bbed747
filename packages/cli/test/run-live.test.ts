/** `peerbuf run --live`: real buffers on this machine, whatever it has. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { liveRunShape } from "peerbuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { peerbuf } from "./console.ts";

/** The other process runs the built package. */
const isReady =
  process.platform === "linux" &&
  existsSync(fileURLToPath(new URL("../../linux/dist/index.js", import.meta.url)));

describe.skipIf(!isReady)(
  "run --live (skipped where it is not Linux, or before npm run build)",
  () => {
    it("hands a buffer to another process and back, proved by bytes, with its record", async () => {
      const { code, stdout, stderr } = await peerbuf(["run", "--live", "--json"]);
      const answer = JSON.parse(stdout);

      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(liveRunShape.safeParse(answer).error).toBeUndefined();
      const [first] = answer.transfers;
      expect(first).toMatchObject({ state: "arrived", target: "system" });
      expect(first.client).toMatch(/^process \d+$/);
      expect(first.sha256.destination).toBe(first.sha256.source);
      expect(first.decisions.map(({ stage }: { stage: string }) => stage)).toContain("map");
    });

    it("says what it did not use, why, and what would change that", async () => {
      const { missing } = JSON.parse((await peerbuf(["run", "--live", "--json"])).stdout);
      const { stdout } = await peerbuf(["run", "--live"]);

      for (const { what, cause, remedy } of missing) {
        expect(stdout.replaceAll(/\s+/g, " ")).toContain(
          `Not used: ${what}: ${cause}. To have it: ${remedy}.`,
        );
      }
      expect(stdout).toMatch(/^1 arrived.*\. Memory came from /m);
    });
  },
);

describe("run --live refuses, before anything is tried,", () => {
  it.each([
    [
      ["--live", "--drive", "/dev/nvme9n1"],
      "Add --may-overwrite if nothing on this drive is needed",
    ],
    [["--live", "--drive", "/dev/null", "--may-overwrite"], "/dev/null: this is no block device"],
    [["--live", "mine.yaml"], "mine.yaml: with --live real buffers are tried"],
    [["--live", "--kernel", "7.2"], "--kernel: with --live real buffers are tried"],
    [["--modelled"], "--modelled: it belongs to --live"],
    [["--drive", "/dev/nvme9n1"], "--drive: it belongs to --live without --modelled"],
    [["--live", "--modelled", "--may-overwrite"], "--may-overwrite: it belongs to --live without"],
  ])("%j", async (options, message) => {
    const { code, stdout, stderr } = await peerbuf(["run", ...options]);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  it("any machine that is not Linux", async () => {
    const platform = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor;
    onTestFinished(() => {
      Object.defineProperty(process, "platform", platform);
    });
    Object.defineProperty(process, "platform", { ...platform, value: "win32" });

    const { code, stderr } = await peerbuf(["run", "--live"]);

    expect(code).toBe(2);
    expect(stderr).toContain("dma-bufs are a thing of Linux, and this is win32");
  });
});
