/** The built command as a process: what only a real pipe and a real exit can show. */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { emptyFolder } from "./console.ts";

/** A device that takes nothing: writing fails with ENOSPC. */
const FULL = "/dev/full";
/** A file without end that says it has no bytes. */
const ENDLESS = "/dev/zero";

const BIN = fileURLToPath(new URL("../bin/peerbuf.js", import.meta.url));
const MANIFEST = fileURLToPath(new URL("../package.json", import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL("../dist/main.js", import.meta.url)));

/** Says on descriptor 3 where each import leads. */
const IMPORTS = `import { register } from "node:module";
  register("data:text/javascript," + encodeURIComponent(\`
    import { writeSync } from "node:fs";
    export async function resolve(name, context, next) {
      const found = await next(name, context);
      writeSync(3, found.url + "\\\\n");
      return found;
    }\`));`;

/** Packages that a command loads, other than itself; a part of one by its path. */
function loadedBy(...argv: string[]): string[] {
  const hook = `data:text/javascript,${encodeURIComponent(IMPORTS)}`;
  const { output } = spawnSync(process.execPath, ["--import", hook, BIN, ...argv], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
    encoding: "utf8",
  });
  const urls = (output[3] ?? "").split("\n");
  const names = urls.map((url) => /(?:node_modules|packages)\/((?:@\w+\/)?[^/]+)\//.exec(url)?.[1]);
  return [...new Set(names)]
    .filter((name) => name !== undefined && name !== "cli")
    .sort() as string[];
}

describe.skipIf(!isBuilt)("the built command (run npm run build if this is skipped)", () => {
  it("answers with its exit code and prints JSON only", () => {
    const ran = spawnSync(process.execPath, [BIN, "explain", "13:00.0", "3e:00.0", "--json"], {
      cwd: emptyFolder(),
      encoding: "utf8",
    });

    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 1, stderr: "" });
    expect(JSON.parse(ran.stdout).type).toBe("unsupported");
  });

  it("loads what it needs: for a list of commands or its version next to nothing", () => {
    for (const argv of ["--version", "--help", "nonsense"]) {
      expect(loadedBy(argv).filter((name) => name !== "core")).toEqual(["commander", "picocolors"]);
    }
    expect(loadedBy("--help")).not.toContain("core");
    expect(loadedBy("scenario")).not.toContain("testkit");
  });

  it.skipIf(process.platform !== "linux")(
    "bufs loads the kernel's side and no model (Linux)",
    () => {
      const loaded = loadedBy("bufs");

      expect(loaded).toEqual(expect.arrayContaining(["core", "koffi", "linux"]));
      for (const name of ["machine", "testkit", "topology", "yaml", "zod"]) {
        expect(loaded).not.toContain(name);
      }
    },
  );

  it("ends quietly when the reader goes away", async () => {
    const child = spawn(process.execPath, [BIN, "matrix", "--all", "--json"]);
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.stdout.once("data", () => child.stdout.destroy());

    const code = await new Promise((resolve) => child.on("close", resolve));

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it.skipIf(!existsSync(FULL))(
    "says that its output could not be written (needs /dev/full)",
    () => {
      const full = openSync(FULL, "w");
      const ran = spawnSync(process.execPath, [BIN, "matrix"], {
        encoding: "utf8",
        stdio: ["ignore", full, "pipe"],
      });
      closeSync(full);

      expect(ran.status).toBe(1);
      expect(ran.stderr).toMatch(/^peerbuf: the output could not be written \(ENOSPC.*\)\.\n$/);
    },
  );

  it.skipIf(!existsSync(ENDLESS))(
    "reads no more of a scenario than one has (needs /dev/zero)",
    () => {
      const ran = spawnSync(process.execPath, [BIN, "run", ENDLESS], { encoding: "utf8" });

      expect(ran.status).toBe(2);
      expect(ran.stderr).toContain("a scenario at most 1048576");
    },
  );

  it("gets everything through a slow pipe", async () => {
    const child = spawn(process.execPath, [BIN, "matrix", "--all", "--json"]);
    let text = "";
    for await (const piece of child.stdout) {
      text += piece;
      await new Promise((resolve) => setImmediate(resolve));
    }

    expect(JSON.parse(text).pairs).toHaveLength(18 * 18);
  });

  it("reads a fleet in threads to the same answer", () => {
    const folder = emptyFolder();
    const server = fileURLToPath(new URL("../captures/server-05/sysfs.json", import.meta.url));
    for (let index = 0; index < 40; index++) {
      symlinkSync(server, join(folder, `node-${index}.json`));
    }
    writeFileSync(join(folder, "junk.json"), "{}");
    const fleet = (threads: string) =>
      spawnSync(process.execPath, [BIN, "fleet", folder, "--json", "--threads", threads], {
        encoding: "utf8",
      });

    const threaded = fleet("2");

    expect({ status: threaded.status, stderr: threaded.stderr }).toEqual({ status: 1, stderr: "" });
    expect(JSON.parse(threaded.stdout).groups[0].members).toHaveLength(40);
    expect(threaded.stdout).toBe(fleet("0").stdout);
  });

  it("captures into a pipe, and speaks beside it", () => {
    const ran = spawnSync(process.execPath, [BIN, "capture", "-"], { cwd: emptyFolder() });

    expect(ran.status).toBe(0);
    expect(JSON.parse(gunzipSync(ran.stdout).toString("utf8")).format).toBe("peerbuf capture");
    expect(ran.stderr.toString("utf8")).toContain("the capture is written");
  });

  it("reads a capture from a pipe", () => {
    const server = fileURLToPath(new URL("../captures/server-05/sysfs.json", import.meta.url));
    const ran = spawnSync(process.execPath, [BIN, "matrix", "--json", "--capture", "-"], {
      input: readFileSync(server),
      encoding: "utf8",
    });

    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(ran.stdout).pairs).toHaveLength(11 * 11);
  });

  it("says which version it is", () => {
    const ran = spawnSync(process.execPath, [BIN, "--version"], { encoding: "utf8" });

    expect(ran.stdout.trim()).toBe(JSON.parse(readFileSync(MANIFEST, "utf8")).version);
  });
});
