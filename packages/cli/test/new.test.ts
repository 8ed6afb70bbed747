/** peerbuf new: what it writes, and that it replaces nothing. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { emptyFolder, peerbuf } from "./console.ts";

const PACKAGE = JSON.parse(
  readFileSync(fileURLToPath(new URL("../package.json", import.meta.url)), "utf8"),
);
const WORKSPACE = JSON.parse(
  readFileSync(fileURLToPath(new URL("../../../package.json", import.meta.url)), "utf8"),
);
const isBuilt = existsSync(
  fileURLToPath(new URL("../dist/driver-kit/kit-child.js", import.meta.url)),
);

describe("new driver", () => {
  it.each([
    ["exporter", []],
    ["importer", ["--importer"]],
  ])("writes an %s under the name that was given", async (role, options) => {
    const cwd = emptyFolder();

    const ran = await peerbuf(["new", "driver", "ramdisk", ...options, "--json"], { cwd });

    expect(ran).toMatchObject({ code: 0, stderr: "" });
    const { files, ...rest } = JSON.parse(ran.stdout);
    expect(rest).toEqual({ name: "ramdisk", role, folder: "ramdisk" });
    expect(files).toEqual([
      ".gitignore",
      "README.md",
      "ci.sh",
      "package.json",
      "src/driver.ts",
      "test/driver.test.ts",
      "tsconfig.build.json",
      "tsconfig.json",
    ]);
    const texts = files.map((file: string) => readFileSync(join(cwd, "ramdisk", file), "utf8"));
    expect(texts.join("")).not.toContain("my-driver");
    expect(JSON.parse(readFileSync(join(cwd, "ramdisk/package.json"), "utf8")).name).toBe(
      "ramdisk",
    );
  });

  it("names the versions that this repository is tested with", async () => {
    const cwd = emptyFolder();
    await peerbuf(["new", "driver", "ramdisk"], { cwd });

    const made = JSON.parse(readFileSync(join(cwd, "ramdisk/package.json"), "utf8"));

    const { version } = PACKAGE;
    const { typescript, vitest, "@types/node": types } = WORKSPACE.devDependencies;
    expect(made.dependencies).toEqual({ "@peerbuf/core": version });
    expect(made.devDependencies).toEqual({
      "@peerbuf/testkit": version,
      "@types/node": types,
      peerbuf: version,
      typescript,
      vitest,
    });
  });

  it.each(["", "Ramdisk", "../ramdisk", "a b", "9lives", "x".repeat(65)])(
    "refuses the name %j",
    async (name) => {
      const ran = await peerbuf(["new", "driver", name], { cwd: emptyFolder() });

      expect(ran).toMatchObject({ code: 2, stdout: "" });
    },
  );

  it.each([
    [[], "missing required argument 'name'"],
    [["a", "b"], "too many arguments for 'driver'. Expected 1 argument but got 2"],
    [["a", "--fast"], "unknown option '--fast'"],
    [["A b"], "A b: this is no name for a driver"],
  ])("refuses %j in one sentence, with exit code 2", async (words, cause) => {
    const cwd = emptyFolder();

    const ran = await peerbuf(["new", "driver", ...words], { cwd });

    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr.startsWith(`peerbuf: ${cause}. `)).toBe(true);
    expect(ran.stderr.trimEnd()).not.toContain("\n");
    expect(existsSync(join(cwd, "a"))).toBe(false);
  });

  it("replaces nothing", async () => {
    const cwd = emptyFolder();
    mkdirSync(join(cwd, "ramdisk"));

    const ran = await peerbuf(["new", "driver", "ramdisk"], { cwd });

    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr).toContain("already");
  });

  it.skipIf(!isBuilt).each([[[]], [["--importer"]]])(
    "breaks no rule %j (run npm run build if this is skipped)",
    async (options) => {
      const cwd = emptyFolder();
      await peerbuf(["new", "driver", "ramdisk", ...options], { cwd });

      const ran = await peerbuf(["check", "ramdisk/src/driver.ts", "--schedules", "1000"], { cwd });

      expect(ran).toMatchObject({ code: 0, stderr: "" });
    },
  );
});
