import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { topoShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, FIXTURES, peerbuf } from "./console.ts";

interface TopoAnswer {
  readonly groups: readonly { readonly name: string; readonly functions: readonly string[] }[];
}

interface Pair {
  readonly provider: string;
  readonly client: string;
  readonly type: string;
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

describe("topo", () => {
  it("shows each device under its bridges, root bus and NUMA node", async () => {
    const { code, stdout, stderr } = await peerbuf(["topo"]);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.split("\n").map((line) => line.replace(/ {2,}.*/, ""));
    expect(stdout).toMatch(/├─ NUMA node 0 .*\n│ {2}└─ root bus 0000:10 /);
    expect(stdout).toMatch(/12:00\.0 +switch port .*\n[│ ]+└─ gpu0 13:00\.0 /);
    expect(lines.length).toBeGreaterThan(20);
  });

  it("blames a redirecting port only where it stands between two shown devices", async () => {
    const open = await peerbuf(["topo"]);
    const path = join(FIXTURES, "server-01");
    const blaming = await peerbuf(["topo", "--capture", path]);

    expect(open.stdout).toMatch(/10:02\.0 .*ACS SV RR CR UF$/m);
    expect(open.stdout).not.toContain("redirects");
    expect(blaming.stdout).toMatch(/switch port .*ACS RR CR: redirects/);
  });

  it.each(readdirSync(FIXTURES))("the groups on %s are those of the kernel", async (name) => {
    const folder = join(FIXTURES, name);
    const pairs: Pair[] = JSON.parse(readFileSync(join(folder, "verdicts.json"), "utf8"));
    const { stdout } = await peerbuf(["topo", "--all", "--json", "--capture", folder]);
    const answer = JSON.parse(stdout) as TopoAnswer;
    const groupOf = new Map(
      answer.groups.flatMap((group) => group.functions.map((bdf) => [bdf, group.name])),
    );

    expect(topoShape.safeParse(answer).error).toBeUndefined();
    for (const { provider, client, type } of pairs.filter(
      (each) => each.provider !== each.client,
    )) {
      const group = groupOf.get(provider);
      const isTogether = group !== undefined && group === groupOf.get(client);
      expect({ provider, client, isTogether }).toEqual({
        provider,
        client,
        isTogether: type === "bus-addr",
      });
    }
  });

  it("claims of a capture without ACS only what is known", async () => {
    const argv = ["topo", "--capture", join(FIXTURES, "server-05", "lspci-nn.txt")];

    const { code, stdout } = await peerbuf(argv);

    expect(code).toBe(0);
    expect(stdout).toContain("No two of these devices are known to reach each other");
    expect(stdout).not.toContain("group A");
  });

  it("--between keeps what is named, by kind or by name", async () => {
    const { stdout } = await peerbuf(["topo", "--between", "gpu, 16:00.0"]);

    expect(stdout).toContain("gpu3");
    expect(stdout).toContain("nvme0");
    expect(stdout).not.toMatch(/nic\d|nvme1/);
  });

  it.each([
    ["gpu,,nic", "names with commas between them"],
    ["gpu,99:00.0", "there is no such PCI function"],
    ["accel", "there is no accel in"],
  ])("--between %s is wrong usage", async (names, message) => {
    const { code, stdout, stderr } = await peerbuf(["topo", "--between", names]);

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });
});

describe("topo as a picture", () => {
  it("draws the ways of peer traffic as SVG and as PNG", async () => {
    const cwd = emptyFolder();

    const ran = await peerbuf(["topo", "--svg", "m.svg", "--png", "m.png"], { cwd });

    expect(ran).toMatchObject({ code: 0, stdout: "m.svg is written.\nm.png is written.\n" });
    const svg = readFileSync(join(cwd, "m.svg"), "utf8");
    expect(svg.match(/>gpu\d</g)).toHaveLength(4);
    expect(svg).toContain("peer to peer below the root complex");
    expect([...readFileSync(join(cwd, "m.png")).subarray(0, 8)]).toEqual(PNG_SIGNATURE);
    expect(readdirSync(cwd).sort()).toEqual(["m.png", "m.svg"]);
  });

  it("the picture in the pages is the one that it draws", async () => {
    const cwd = emptyFolder();

    await peerbuf(["topo", "--svg", "server-05.svg"], { cwd });

    const page = new URL("../../../docs/server-05.svg", import.meta.url);
    expect(readFileSync(page, "utf8"), "peerbuf topo --svg docs/server-05.svg").toBe(
      readFileSync(join(cwd, "server-05.svg"), "utf8"),
    );
  });

  it("puts nothing from a capture into the picture that is not escaped", async () => {
    const cwd = emptyFolder();
    const text = readFileSync(join(FIXTURES, "tiny-02", "sysfs.json"), "utf8");
    const capture = JSON.parse(text) as { files: Record<string, string> };
    capture.files["/proc/cpuinfo"] = 'vendor_id : <&"\u0001>\nmodel name : <script>&\n';
    writeFileSync(join(cwd, "<c>.json"), JSON.stringify(capture));

    await peerbuf(["topo", "--all", "--capture", "<c>.json", "--svg", "m.svg"], { cwd });

    const svg = readFileSync(join(cwd, "m.svg"), "utf8");
    expect(svg).toContain("&lt;c&gt;.json");
    expect(svg).not.toMatch(/<script|<c>/);
  });

  it("a place that cannot be written is wrong usage, and leaves nothing behind", async () => {
    const cwd = emptyFolder();

    const folder = await peerbuf(["topo", "--svg", "."], { cwd });
    const nowhere = await peerbuf(["topo", "--svg", "no/such/m.svg"], { cwd });

    expect(folder).toMatchObject({ code: 2, stdout: "" });
    expect(nowhere).toMatchObject({ code: 2, stdout: "" });
    expect(nowhere.stderr).toContain("no/such/m.svg");
    expect(readdirSync(cwd)).toEqual([]);
  });
});
