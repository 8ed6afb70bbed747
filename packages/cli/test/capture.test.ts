import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { captureShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, peerbuf } from "./console.ts";

describe("capture", () => {
  it("writes one small file, and says what it could not read", async () => {
    const cwd = emptyFolder();

    const { code, stdout, stderr } = await peerbuf(["capture"], { cwd });

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^peerbuf-capture\.json\.gz is written: \d+ PCI functions?, [\d.]+ KiB\.$/m,
    );
    expect(readdirSync(cwd)).toEqual(["peerbuf-capture.json.gz"]);
    expect(statSync(join(cwd, "peerbuf-capture.json.gz")).size).toBeLessThan(2 ** 20);
    const content = JSON.parse(
      gunzipSync(readFileSync(join(cwd, "peerbuf-capture.json.gz"))).toString("utf8"),
    );
    expect(content).toMatchObject({ format: "peerbuf capture", redacted: false });
  });

  it("the file says of this machine what the machine says itself", async () => {
    const cwd = emptyFolder();
    const live = await peerbuf(["matrix", "--all", "--json", "--live"]);

    await peerbuf(["capture", "this.json.gz", "--redact"], { cwd });
    const captured = await peerbuf(["matrix", "--all", "--json", "-c", "this.json.gz"], { cwd });

    expect(captured.stdout).toBe(live.stdout);
  });

  it("--json keeps its shape", async () => {
    const { stdout } = await peerbuf(["capture", "--json", "--redact"], { cwd: emptyFolder() });

    const answer = JSON.parse(stdout);
    expect(captureShape.safeParse(answer).error).toBeUndefined();
    expect(answer).toMatchObject({ file: "peerbuf-capture.json.gz", redacted: true });
  });

  it("replaces a file only when told to", async () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "old.json.gz"), "precious");

    const refused = await peerbuf(["capture", "old.json.gz"], { cwd });
    const kept = readFileSync(join(cwd, "old.json.gz"), "utf8");
    const forced = await peerbuf(["capture", "old.json.gz", "--force"], { cwd });

    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("old.json.gz: there is such a file already");
    expect(kept).toBe("precious");
    expect(forced.code).toBe(0);
    expect(readFileSync(join(cwd, "old.json.gz"), "utf8")).not.toBe("precious");
    expect(readdirSync(cwd)).toEqual(["old.json.gz"]);
  });

  it("a place that cannot be written is wrong usage, and nothing is left there", async () => {
    const cwd = emptyFolder();

    const { code, stdout, stderr } = await peerbuf(["capture", "no/such/c.json.gz"], { cwd });

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("no/such/c.json.gz");
    expect(readdirSync(cwd)).toEqual([]);
  });
});
