import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { doctorShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, FIXTURES, peerbuf } from "./console.ts";

interface Verdict {
  readonly provider: string;
  readonly client: string;
  readonly type: string;
}

interface DoctorAnswer {
  readonly answer: string;
  readonly devices: readonly { readonly bdf: string; readonly name: string }[];
  readonly pairs: Readonly<Record<string, number>>;
  readonly findings: readonly {
    readonly code: string;
    readonly severity: string;
    readonly at: readonly string[];
    readonly fixes: readonly { readonly steps: readonly { readonly lines: readonly string[] }[] }[];
  }[];
}

async function diagnosisOf(...argv: string[]): Promise<{ code: number; answer: DoctorAnswer }> {
  const { code, stdout, stderr } = await peerbuf(["doctor", ...argv, "--json"]);
  expect(stderr).toBe("");
  const answer = JSON.parse(stdout) as DoctorAnswer;
  expect(doctorShape.safeParse(answer).error).toBeUndefined();
  return { code, answer };
}

/** Captures after public threads, with what completes them. */
const FIELD = join(FIXTURES, "..", "doctor");

describe("doctor", () => {
  it.each(readdirSync(FIXTURES))(
    "counts the pairs of %s as the kernel judged them",
    async (name) => {
      const folder = join(FIXTURES, name);
      const verdicts: Verdict[] = JSON.parse(readFileSync(join(folder, "verdicts.json"), "utf8"));

      const { code, answer } = await diagnosisOf("--capture", folder);

      const gpus = answer.devices.filter(({ name: short }) => /^(gpu|accel)/.test(short));
      const owners = new Set((gpus.length > 0 ? gpus : answer.devices).map(({ bdf }) => bdf));
      const clients = new Set(answer.devices.map(({ bdf }) => bdf));
      const counts: Record<string, number> = { count: 0 };
      for (const { provider, client, type } of verdicts) {
        if (provider !== client && owners.has(provider) && clients.has(client)) {
          counts[type] = (counts[type] ?? 0) + 1;
          counts["count"] = (counts["count"] ?? 0) + 1;
        }
      }
      expect(answer.pairs).toMatchObject(counts);
      expect(code === 0).toBe(
        answer.pairs["count"] === 0 ||
          (answer.pairs["unsupported"] === 0 &&
            answer.pairs["unknown"] === 0 &&
            answer.findings.every(({ severity }) => severity === "note")),
      );
    },
  );

  it("gives the answer in its first line", async () => {
    const { code, stdout } = await peerbuf(["doctor", "--capture", "server-05"]);

    expect(code).toBe(1);
    expect(stdout.split("\n")[0]).toMatch(
      /^18 of 40 pairs can go peer to peer: 22 refused by the kernel\. \d things to look at\.$/,
    );
  });

  it("blames the ports on the way, and gives text that the kernel's own parser takes", async () => {
    const { answer } = await diagnosisOf("--capture", join(FIXTURES, "server-01"));

    const redirect = answer.findings.find(({ code }) => code.startsWith("REDIRECT_"));
    expect(redirect?.at).toContain("0000:12:00.0");
    const typed = redirect?.fixes.flatMap(({ steps }) => steps.flatMap(({ lines }) => lines)) ?? [];
    expect(typed.join("\n")).toMatch(/ pci=disable_acs_redir=pci:104c:8233"$/m);
    expect(typed.join("\n")).toMatch(/setpci -s 0000:12:00\.0 ECAP_ACS\+6\.w=/);
  });

  it("--between narrows what is looked at", async () => {
    const { code, answer } = await diagnosisOf(
      "--capture",
      "server-05",
      "--between",
      "13:00.0,14:00.0,16:00.0",
    );

    expect(answer.devices).toHaveLength(3);
    expect(answer.pairs).toMatchObject({ count: 4, "bus-addr": 4 });
    expect(code === 0 || answer.findings.some(({ severity }) => severity !== "note")).toBe(true);
  });

  it("never says fine of a capture in which ACS could not be read", async () => {
    const cwd = emptyFolder();
    const text = readFileSync(join(FIXTURES, "server-05", "sysfs.json"), "utf8");
    const capture = JSON.parse(text) as { binary: Record<string, { length: number; hex: string }> };
    for (const entry of Object.values(capture.binary)) {
      entry.length = 64; // What an ordinary user reads.
      entry.hex = entry.hex.slice(0, 128);
    }
    writeFileSync(join(cwd, "user.json"), JSON.stringify(capture));

    for (const between of [[], ["--between", "13:00.0,14:00.0"]]) {
      const argv = ["doctor", "--capture", "user.json", ...between];
      const { code, stdout } = await peerbuf(argv, { cwd });

      expect(code).toBe(1);
      expect(stdout).not.toMatch(/^(Fine|Works|All|As far)/);
      expect(stdout).toContain("not known");
    }
  });

  it("does not take a capture without device classes for a machine without devices", async () => {
    const tree = join(FIXTURES, "server-05", "lspci-tv.txt");

    const { code, stdout } = await peerbuf(["doctor", "--capture", tree]);

    expect(code).toBe(1);
    expect(stdout).toMatch(/^Not known: /);
  });

  it("does not take a part of a machine for a machine without devices", async () => {
    const cwd = emptyFolder();
    const ports = [1, 2].map(
      (port) =>
        `00:01.${port} PCI bridge: AMD Raphael/Granite Ridge GPP Bridge\n\tCapabilities: [58] Express (v2) Root Port (Slot+), IntMsgNum 0\n`,
    );
    writeFileSync(join(cwd, "ports.txt"), ports.join("\n"));

    const { code, stdout } = await peerbuf(["doctor", "--capture", "ports.txt"], { cwd });

    expect(code).toBe(1);
    expect(stdout).toMatch(/^Not known: ports\.txt shows a part of the machine/);
  });

  it.each([
    ["y", 0, /^Fine: /],
    ["n", 1, /^None of 4 pairs can go peer to peer: this kernel was built without P2PDMA\./],
    [undefined, 0, /^As far as known all 4 pairs can go peer to peer/],
  ])(
    "says fine only where the kernel is known to have P2PDMA (%s)",
    async (setting, code, first) => {
      const cwd = emptyFolder();
      const config = setting === undefined ? "CONFIG_IOMMU_API=y" : `CONFIG_PCI_P2PDMA=${setting}`;
      writeFileSync(join(cwd, "config"), `${config}\n`);
      const captures = [
        join(FIELD, "plx-source-validation.txt"),
        join(FIELD, "cpu-xeon.txt"),
        "config",
      ];
      const argv = captures.flatMap((path) => ["--capture", path]);

      const doctor = await peerbuf(["doctor", ...argv], { cwd });
      const explain = await peerbuf(["explain", "gpu0", "gpu1", ...argv], { cwd });

      expect(doctor.stdout).toMatch(first);
      expect([doctor.code, explain.code]).toEqual([code, code]);
      expect(explain.stdout.includes("built without CONFIG_PCI_P2PDMA")).toBe(setting === "n");
    },
  );

  it("says of nvidia-smi's matrix that it is nearness and not permission", async () => {
    const cwd = emptyFolder();
    const matrix = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tPIX\t0-15\nGPU1\tPIX\t X \t0-15\n";
    writeFileSync(join(cwd, "topo.txt"), matrix);

    const { code, stdout } = await peerbuf(["doctor", "--capture", "topo.txt"], { cwd });

    expect(code).toBe(1);
    expect(stdout).toMatch(/^Not known: nvidia-smi topo -m says how near the devices are/);
    expect(stdout).toContain("  PIX: GPU0 and GPU1");
  });

  it("takes several captures of one machine: what one lacks another has", async () => {
    const folder = join(FIXTURES, "server-05");
    const lspci = join(folder, "lspci-vvvxxxx.txt.gz");

    const alone = await diagnosisOf("--capture", lspci);
    const together = await diagnosisOf(
      "--capture",
      lspci,
      "--capture",
      join(folder, "sysfs.tar.gz"),
    );
    const whole = await diagnosisOf("--capture", lspci, "--capture", join(folder, "sysfs.json"));

    expect(alone.answer.pairs["unknown"]).toBeGreaterThan(0);
    expect(together.answer.pairs["count"]).toBe(alone.answer.pairs["count"]);
    expect(whole.answer.pairs).toMatchObject({ "bus-addr": 14, "host-bridge": 4, unknown: 0 });
  });

  it("--all has every finding with every way to make each fix", async () => {
    const short = await peerbuf(["doctor", "--capture", join(FIXTURES, "server-01")]);
    const whole = await peerbuf(["doctor", "--capture", join(FIXTURES, "server-01"), "--all"]);

    expect(whole.stdout.length).toBeGreaterThan(short.stdout.length);
    expect(whole.stdout).toContain("known by");
    expect(whole.stdout).toContain("grubby");
  });

  it("keeps to the terminal's width, except for text to copy", async () => {
    const argv = ["doctor", "--capture", join(FIXTURES, "server-01"), "--all"];

    const { stdout } = await peerbuf(argv, { columns: 80 });

    // Text to copy is never broken.
    const long = stdout.split("\n").filter((line) => line.length > 80);
    expect(long.filter((line) => !/^ {14}\S/.test(line) && line.includes(" "))).toEqual([]);
  });
});

describe("doctor of this machine", () => {
  it("answers without root, whatever devices there are", async () => {
    const { code, stdout, stderr } = await peerbuf(["doctor"]);
    const live = await peerbuf(["doctor", "--live"]);

    expect(stderr).toBe("");
    expect([0, 1]).toContain(code);
    expect(stdout).not.toBe("");
    expect(live.stdout).toBe(stdout);
  });
});
