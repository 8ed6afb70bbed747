/**
 * The repository keeps itself tidy: which package may import which, what must not be left lying
 * around, and what every package has to offer. Each message says what to do.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The table of `ARCHITECTURE.md`: what each package's sources may import. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: ["rxjs", "typedi"],
  topology: ["@peerbuf/core", "sax", "seek-bzip", "tar-stream"],
  machine: ["@peerbuf/core", "@peerbuf/topology", "rxjs"],
  exporters: ["@peerbuf/core"],
  importers: ["@peerbuf/core"],
  linux: ["@peerbuf/core", "koffi", "typedi"],
  testkit: ["@peerbuf/core", "@peerbuf/machine", "typedi"],
  cli: [
    "@peerbuf/core",
    "@peerbuf/topology",
    "@peerbuf/machine",
    "@peerbuf/exporters",
    "@peerbuf/importers",
    "@peerbuf/linux",
    "@peerbuf/testkit",
    "rxjs",
    "commander",
    "jiti",
    "zod",
    "yaml",
    "cli-table3",
    "picocolors",
    "d3-hierarchy",
    "@resvg/resvg-js",
    "bullmq",
    "ioredis",
  ],
};

interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Files that git knows or would add, as paths from the root. */
function trackedFiles(): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard"];
  const listed = execFileSync("git", args, { cwd: root, encoding: "utf8" });
  return listed.split("\n").filter((path) => path !== "" && existsSync(`${root}/${path}`));
}

const files = trackedFiles();
const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8");
const sources: SourceFile[] = files
  .filter((path) => /\.(ts|js)$/.test(path))
  .map((path) => ({ path, text: read(path) }));
const productSources = sources.filter(({ path }) => /^packages\/[^/]+\/src\//.test(path));
const packages = Object.keys(MAY_IMPORT);

/** `path:line` of each line that matches. */
function places(where: readonly SourceFile[], pattern: RegExp): string[] {
  return where.flatMap(({ path, text }) =>
    text
      .split("\n")
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
}

function importsOf(text: string): string[] {
  const statements = text.matchAll(
    /^(?:import|export)\b[^;]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"/gm,
  );
  return [...statements].map(([, from, bare]) => packageOf(from ?? bare ?? ""));
}

/** `rxjs` for `rxjs/internal/Subject`. */
const packageOf = (from: string): string =>
  /^[.@]|^node:/.test(from) ? from : (from.split("/")[0] as string);

describe("imports", () => {
  it.each(packages)("packages/%s imports only what ARCHITECTURE.md allows it", (name) => {
    const allowed = MAY_IMPORT[name] ?? [];
    const strangers = productSources
      .filter(({ path }) => path.startsWith(`packages/${name}/`))
      .flatMap(({ path, text }) =>
        importsOf(text)
          .filter((from) => !from.startsWith(".") && !from.startsWith("node:"))
          .filter((from) => !allowed.includes(from))
          .map((from) => `${path} imports ${from}`),
      );

    expect(strangers, "move the code, or change the design and this table").toEqual([]);
  });

  it.each(packages)("packages/%s declares what it imports, and nothing else", (name) => {
    const manifest = JSON.parse(read(`packages/${name}/package.json`));
    const declared = Object.keys(manifest.dependencies ?? {}).sort();
    const used = productSources
      .filter(({ path }) => path.startsWith(`packages/${name}/`))
      .flatMap(({ text }) => importsOf(text))
      .filter((from) => !from.startsWith(".") && !from.startsWith("node:"));

    expect([...new Set(used)].sort()).toEqual(declared);
  });

  it("the machine never imports the rules that negotiate", () => {
    const rules = /judge|verdict|explain|p2p|rules/i;
    const asked = productSources
      .filter(({ path }) => path.startsWith("packages/machine/"))
      .flatMap(({ path, text }) =>
        [
          ...text.matchAll(/import\s+(?:type\s+)?\{([^}]*)\}\s+from\s+"@peerbuf\/topology"/g),
        ].flatMap(([, names = ""]) =>
          rules.test(names) ? [`${path} imports ${names.trim()}`] : [],
        ),
      );

    expect(asked, "routing that asks the rules proves nothing about them").toEqual([]);
  });

  it("nobody reaches into another package's folders", () => {
    const deep = places(
      productSources,
      /from "(@peerbuf\/[a-z]+\/|(\.\.\/)+(core|topology|machine)\/)/,
    );

    expect(deep, "use what the package's index.ts offers").toEqual([]);
  });
});

describe("time and chance come in by the door", () => {
  it("no product code reads the clock or the random generator, except the command and the clock of real Linux", () => {
    const outside = productSources.filter(
      ({ path }) => !path.startsWith("packages/cli/src/") && path !== "packages/linux/src/clock.ts",
    );

    expect(
      places(outside, /Math\.random|Date\.now|new Date\(|performance\.now|process\.hrtime/),
    ).toEqual([]);
  });

  it("core subscribes to nothing, least of all to itself", () => {
    const core = productSources.filter(({ path }) => path.startsWith("packages/core/"));

    expect(places(core, /\.subscribe\(/)).toEqual([]);
  });
});

describe("leftovers", () => {
  const others = sources.filter(({ path }) => path !== "test/tidy.test.ts");

  it("no markers of unfinished work", () => {
    expect(places(others, /\b(TODO|FIXME|XXX|HACK)\b|not implemented/)).toEqual([]);
  });

  it("no test that runs alone or never, and no switched-off checks", () => {
    expect(places(others, /\b(it|test|describe)\.(only|todo)\b|\bdebugger\b/)).toEqual([]);
    expect(places(others, /@ts-ignore|@ts-nocheck|@ts-expect-error/)).toEqual([]);
  });

  it("no commented-out code", () => {
    const code =
      /^\s*\/\/\s*(const|let|return|if \(|for \(|import|export|await|this\.)\b.*[;{(]\s*$/;

    expect(places(others, code), "delete it; git remembers").toEqual([]);
  });

  it("no paths or hosts of one workplace", () => {
    const texts = files
      .filter((path) => /\.(ts|js|json|md|yaml|yml)$|^\.ci\//.test(path))
      .filter((path) => !/^(test\/fixtures|packages\/cli\/captures)\//.test(path))
      .filter((path) => path !== "test/tidy.test.ts")
      .map((path) => ({ path, text: read(path) }));

    expect(places(texts, /\/(work|farm|root|tmp\/bash_jobs)\//)).toEqual([]);
    expect(
      places(texts, /"resolved": *"https?:/),
      "npm config: omit-lockfile-registry-resolved",
    ).toEqual([]);
  });
});

describe("shape", () => {
  it("a file is named after one thing", () => {
    const vague = files.filter((path) =>
      /(^|[/-])(utils?|helpers?|common|manager|misc)\.[jt]s$/.test(path),
    );

    expect(vague).toEqual([]);
  });

  it("no source file holds two nouns: 350 lines are the end", () => {
    const long = productSources
      .map(({ path, text }) => ({ path, lines: text.split("\n").length }))
      .filter(({ lines }) => lines > 350);

    expect(long, "find the second noun and give it a file").toEqual([]);
  });

  it("every source file says first what it is", () => {
    const silent = productSources.filter(
      ({ text }) => !text.startsWith("/**") && !text.startsWith("#!"),
    );

    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  it.each(packages)("packages/%s has one door, exact versions and a licence", (name) => {
    const manifest = JSON.parse(read(`packages/${name}/package.json`));
    const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });

    expect(Object.keys(manifest.exports)).toEqual(["."]);
    expect(manifest.license).toBe("Apache-2.0");
    expect(read(`packages/${name}/LICENSE`)).toBe(read("LICENSE"));
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(String(version)))).toEqual([]);
  });

  it("the folders are those of ARCHITECTURE.md", () => {
    const page = read("ARCHITECTURE.md");
    const folders = new Set(
      files.filter((path) => path.startsWith("packages/")).map((path) => path.split("/")[1]),
    );

    for (const folder of folders) {
      expect(page, `ARCHITECTURE.md does not speak of packages/${folder}`).toContain(
        `packages/${folder}`,
      );
    }
    expect(files.some((path) => basename(dirname(path)) === "dist")).toBe(false);
  });
});
