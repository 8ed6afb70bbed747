import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { comparisonShape, matrixShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, FIXTURES, peerbuf } from "./console.ts";

interface Pair {
  provider: string;
  client: string;
  type: string;
  distance: number;
}

const pairLine = ({ provider, client, type, distance }: Pair): string =>
  `${provider} ${client} ${type} ${distance}`;

describe("matrix --all --json", () => {
  it.each(readdirSync(FIXTURES))("says what the real kernel said on %s", async (name) => {
    const folder = join(FIXTURES, name);
    const wanted: Pair[] = JSON.parse(readFileSync(join(folder, "verdicts.json"), "utf8"));

    const ran = await peerbuf(["matrix", "--all", "--json", "--capture", folder]);

    expect(ran).toMatchObject({ code: 0, stderr: "" });
    const answer = JSON.parse(ran.stdout) as { kernel: string; pairs: Pair[] };
    expect(matrixShape.safeParse(answer).error).toBeUndefined();
    expect(answer.kernel).toBe("6.12");
    expect(answer.pairs.map(pairLine).sort()).toEqual(wanted.map(pairLine).sort());
  });

  it("reads a tar of /sys too; what only /proc says stays unknown", async () => {
    const ask = async (file: string): Promise<Pair[]> => {
      const path = join(FIXTURES, "server-05", file);
      const { stdout } = await peerbuf(["matrix", "--json", "--capture", path]);
      return JSON.parse(stdout).pairs;
    };

    const fromTar = await ask("sysfs.tar.gz");
    const fromJson = await ask("sysfs.json");

    const busOnly = (pairs: Pair[]) =>
      pairs.filter(({ type }) => type === "bus-addr").map(pairLine);
    expect(busOnly(fromTar)).toEqual(busOnly(fromJson));
    expect(fromTar.some(({ type }) => type === "unknown")).toBe(true);
    expect(fromTar.some(({ type }) => type === "unsupported")).toBe(false);
  });
});

describe("matrix", () => {
  it("shows GPUs, NICs and NVMe drives of the embedded machine, and a legend", async () => {
    const { code, stdout, stderr } = await peerbuf(["matrix"]);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(
      "GPUs, accelerators, NICs and NVMe drives: 11, by the rules of linux-6.12",
    );
    expect(stdout).toMatch(/^gpu0 +13:00\.0 +· +bus +bus +bus +host +- /m);
    expect(stdout).not.toContain("SATA");
    expect(stdout).toContain("turns round below the root complex (bus-addr)");
  });

  it("--all adds every other function that is no bridge", async () => {
    const { stdout } = await peerbuf(["matrix", "--all"]);

    expect(stdout).toMatch(/^sata0 +0000:00:1f\.2 +Intel SATA controller 2922$/m);
    expect(stdout).not.toContain("PCI bridge");
  });

  it("--csv has one line a pair", async () => {
    const { stdout } = await peerbuf(["matrix", "--csv"]);

    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toBe("provider,client,type,distance");
    expect(lines).toHaveLength(1 + 11 * 11);
    expect(lines).toContain("0000:13:00.0,0000:17:00.0,host-bridge,6");
  });

  it("keeps within the terminal: what does not fit beside goes below", async () => {
    const { stdout } = await peerbuf(["matrix"], { columns: 60 });

    const table = stdout.slice(stdout.indexOf("\n\n"), stdout.indexOf("turns round")).split("\n");
    expect(table.filter((line) => line.length > 60)).toEqual([]);
    expect(table.filter((line) => /^ +to /.test(line)).length).toBeGreaterThan(1);
  });

  it("is coloured on a terminal only, and never with NO_COLOR", async () => {
    const ESCAPE = String.fromCharCode(27);
    const terminal = { isTerminal: true };

    expect((await peerbuf(["matrix"], terminal)).stdout).toContain(`${ESCAPE}[32m`);
    expect((await peerbuf(["matrix"])).stdout).not.toContain(ESCAPE);
    const plain = await peerbuf(["matrix"], { ...terminal, env: { NO_COLOR: "1" } });
    expect(plain.stdout).not.toContain(ESCAPE);
  });

  it("--between keeps what is named", async () => {
    const { stdout } = await peerbuf(["matrix", "--between", "gpu,16:00.0", "--csv"]);

    expect(stdout.trimEnd().split("\n")).toHaveLength(1 + 5 * 5);
  });

  it("knows the rules of other kernels", async () => {
    const { stdout } = await peerbuf(["matrix", "--json", "--kernel", "6.12.117"]);

    expect(JSON.parse(stdout).kernel).toBe("6.12");
  });
});

describe("matrix --compare-kernel", () => {
  it("shows the pairs that the other kernel judges otherwise, and only these", async () => {
    const cwd = emptyFolder();
    const text = readFileSync(join(FIXTURES, "server-05", "sysfs.json"), "utf8");
    const capture = JSON.parse(text) as { files: Record<string, string> };
    // Newer kernels list every host bridge of this vendor.
    capture.files["sys/devices/pci0000:38/0000:38:00.0/vendor"] = "0x1ae0\n";
    writeFileSync(join(cwd, "c.json"), JSON.stringify(capture));
    const argv = ["matrix", "--capture", "c.json", "--compare-kernel", "7.2"];

    const shown = await peerbuf(argv, { cwd });
    const { code, stdout } = await peerbuf([...argv, "--json"], { cwd });

    const answer = JSON.parse(stdout) as { changes: Record<string, string>[] };
    expect({ code, error: comparisonShape.safeParse(answer).error }).toEqual({ code: 0 });
    expect(answer.changes).toContainEqual({
      provider: "0000:3b:00.0",
      client: "0000:3f:00.0",
      before: "unsupported",
      after: "host-bridge",
    });
    expect(answer.changes).toHaveLength(10);
    expect(shown.stdout).toContain("10 of 110 ordered pairs change from linux-6.12 to linux-7.2");
  });

  it("says so when nothing changes", async () => {
    const { code, stdout } = await peerbuf(["matrix", "--compare-kernel", "7.2"]);

    expect(code).toBe(0);
    expect(stdout).toBe(
      "linux-6.12 and linux-7.2 judge all 110 ordered pairs of the embedded capture server-05 alike.\n",
    );
  });
});

describe("matrix of what a user without root can read", () => {
  it("says that ACS is missing for that, and what to do", async () => {
    const cwd = emptyFolder();
    const capture = JSON.parse(readFileSync(join(FIXTURES, "server-05", "sysfs.json"), "utf8"));
    for (const binary of Object.values<{ length: number; hex: string }>(capture.binary)) {
      binary.length = Math.min(binary.length, 64);
      binary.hex = binary.hex.replaceAll(/\s/g, "").slice(0, 128);
    }
    writeFileSync(join(cwd, "user.json"), JSON.stringify(capture));

    const asUser = await peerbuf(["matrix", "--capture", "user.json"], { cwd });
    const asRoot = await peerbuf(["matrix", "--capture", "server-05"], { cwd });

    expect(asUser.stdout).toMatch(
      /Only the header of 32 functions \(of 32\) was read.*so ACS is not known.*as\s+root\.\n$/s,
    );
    expect(asRoot.stdout).not.toContain("Only the header");
  });
});
