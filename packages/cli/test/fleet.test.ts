import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fleetShape } from "peerbuf";
import { describe, expect, it } from "vitest";
import { emptyFolder, FIXTURES, peerbuf } from "./console.ts";

const SERVER = join(FIXTURES, "server-05", "sysfs.json");
const BELOW_SWITCH = "sys/devices/pci0000:10/0000:10:02.0/0000:11:00.0";

interface Capture {
  readonly files: Record<string, string>;
  readonly links: Record<string, string>;
  readonly binary: Record<string, { length: number; hex: string }>;
}

interface FleetAnswer {
  readonly machineCount: number;
  readonly groups: readonly {
    readonly number: number;
    readonly members: readonly string[];
    readonly like?: {
      readonly group: number;
      readonly differences: readonly { at: string; what: string; here: string; there: string }[];
      readonly pairs: readonly unknown[];
    };
  }[];
  readonly unreadable: readonly { readonly name: string; readonly message: string }[];
}

function changed(change: (capture: Capture) => void): string {
  const capture = JSON.parse(readFileSync(SERVER, "utf8")) as Capture;
  change(capture);
  return JSON.stringify(capture);
}

/** A folder with `count` equal servers. */
function equalServers(count: number): string {
  const folder = emptyFolder();
  for (let index = 0; index < count; index++) {
    copyFileSync(SERVER, join(folder, `node-${index}.json`));
  }
  return folder;
}

async function fleetOf(folder: string): Promise<{ code: number; answer: FleetAnswer }> {
  const { code, stdout, stderr } = await peerbuf(["fleet", folder, "--json"]);
  expect(stderr).toBe("");
  const answer = JSON.parse(stdout) as FleetAnswer;
  expect(fleetShape.safeParse(answer).error).toBeUndefined();
  return { code, answer };
}

function changeConfig(capture: Capture, path: string, change: (config: Buffer) => void): void {
  const { length = 0, hex = "" } = capture.binary[path] ?? {};
  const config = Buffer.alloc(length); // The zeros at the end are not in the hex.
  config.write(hex, "hex");
  change(config);
  capture.binary[path] = { length: config.length, hex: config.toString("hex") };
}

/** Sets the ACS control register (extended capability 0x000d, +6) in a captured config space. */
function setAcsControl(config: Buffer, control: number): void {
  let offset = 0x100;
  while (config.readUInt16LE(offset) !== 0x000d) {
    offset = config.readUInt16LE(offset + 2) >> 4;
    expect(offset, "the function has ACS").toBeGreaterThan(0);
  }
  config.writeUInt16LE(control, offset + 6);
}

describe("fleet", () => {
  it("puts machines that are the same in one group: exit code 0", async () => {
    const { code, answer } = await fleetOf(equalServers(3));

    expect(code).toBe(0);
    expect(answer.groups).toHaveLength(1);
    expect(answer.groups[0]?.members).toEqual(["node-0.json", "node-1.json", "node-2.json"]);
  });

  it("two captures of one machine in different forms are one machine as far as both can say", async () => {
    const folder = emptyFolder();
    const capture = join(FIXTURES, "server-05");
    symlinkSync(capture, join(folder, "a"));
    symlinkSync(join(capture, "sysfs.json"), join(folder, "b.json"));

    const { answer } = await fleetOf(folder);

    expect(answer.groups[0]?.members).toEqual(["a", "b.json"]);
  });

  it("shows the odd one, the setting that makes it odd, and the pairs that it costs", async () => {
    const folder = equalServers(4);
    const odd = changed((capture) =>
      changeConfig(capture, `${BELOW_SWITCH}/0000:12:00.0/config`, (config) =>
        setAcsControl(config, 0x1d),
      ),
    );
    writeFileSync(join(folder, "node-9.json"), odd);

    const { code, answer } = await fleetOf(folder);
    const shown = await peerbuf(["fleet", folder]);

    expect(code).toBe(1);
    expect(answer.groups[1]?.like?.differences).toEqual([
      {
        at: "0000:12:00.0",
        what: "ACS",
        here: "SV RR CR UF of SV TB RR CR UF DT",
        there: "SV UF of SV TB RR CR UF DT",
      },
    ]);
    expect(answer.groups[1]?.like?.pairs).toHaveLength(6);
    expect(shown.stdout).toMatch(/^5 captures, 1 kind of machine, 1 odd machine\n/);
    expect(shown.stdout).toContain("node-9.json: like group 1, but");
    expect(shown.stdout).toContain("12:00.0  ACS: SV RR CR UF of SV TB RR CR UF DT, there SV UF");
  });

  it("tells missing lanes and another CPU, and a missing card once", async () => {
    const folder = equalServers(4);
    const narrow = changed(({ files }) => {
      files["sys/devices/pci0000:10/0000:10:02.0/max_link_width"] = "4\n";
      files["proc/cpuinfo"] = "vendor_id : AuthenticAMD\ncpu family : 25\nmodel : 1\n";
    });
    const poor = changed((capture) => {
      for (const part of [capture.files, capture.links, capture.binary]) {
        for (const path of Object.keys(part).filter((key) => key.includes("0000:16:00.0"))) {
          delete part[path];
        }
      }
    });
    writeFileSync(join(folder, "narrow.json"), narrow);
    writeFileSync(join(folder, "poor.json"), poor);

    const { answer } = await fleetOf(folder);

    const oddOf = (name: string) =>
      answer.groups.find(({ members }) => members.includes(name))?.like;
    expect(oddOf("narrow.json")?.differences.map(({ what }) => what)).toEqual(["CPU", "link"]);
    expect(oddOf("poor.json")?.differences).toEqual([
      expect.objectContaining({ at: "0000:16:00.0", what: "id", here: "nothing" }),
      expect.objectContaining({ at: "0000:16:00.0", what: "BAR 0", here: "nothing" }),
    ]);
  });

  it("tells a capture made without root as such, in a line", async () => {
    const folder = equalServers(3);
    const unread = changed(({ binary }) => {
      for (const entry of Object.values(binary)) {
        entry.length = 64;
        entry.hex = entry.hex.slice(0, 128);
      }
    });
    writeFileSync(join(folder, "user.json"), unread);

    const { code, stdout } = await peerbuf(["fleet", folder]);

    expect(code).toBe(1);
    expect(stdout).toMatch(/user\.json: like group 1, but\n {2}\d+ facts: ACS not known here\n/);
  });

  it("does not take a capture without device classes for a machine without devices", async () => {
    const tree = join(FIXTURES, "server-05", "lspci-tv.txt");

    const { stdout } = await peerbuf(["fleet", tree]);

    expect(stdout).toContain("; devices not known;");
    expect(stdout).not.toContain("no GPUs");
  });

  it("is not confused by other bus numbers", async () => {
    const folder = equalServers(1);
    const renumbered = readFileSync(SERVER, "utf8").replaceAll("0000:3f:00.0", "0000:7f:00.0");
    const capture = JSON.parse(renumbered) as Capture;
    const bridge = "sys/devices/pci0000:38/0000:38:08.0";
    changeConfig(capture, `${bridge}/config`, (config) => config.fill(0x7f, 0x19, 0x1b));
    capture.files[`${bridge}/secondary_bus_number`] = "127\n";
    capture.files[`${bridge}/subordinate_bus_number`] = "127\n";
    writeFileSync(join(folder, "other.json"), JSON.stringify(capture));

    const { answer } = await fleetOf(folder);

    expect(answer.unreadable).toEqual([]);
    expect(answer.groups).toHaveLength(1);
  });

  it("other kinds of machines are not odd", async () => {
    const { code, answer } = await fleetOf(FIXTURES);

    expect(code).toBe(0);
    expect(answer.groups).toHaveLength(24);
  });

  it("a capture that cannot be read is listed, and the rest is told", async () => {
    const folder = equalServers(2);
    writeFileSync(join(folder, "cut.json"), readFileSync(SERVER, "utf8").slice(0, 5000));
    mkdirSync(join(folder, "deeper"));
    writeFileSync(join(folder, "deeper", "notes.txt"), "bought in May\n");
    symlinkSync("nowhere", join(folder, "lost.json"));

    const { code, answer } = await fleetOf(folder);

    expect(code).toBe(1);
    expect(answer.groups[0]?.members).toHaveLength(2);
    expect(answer.unreadable.map(({ name }) => name)).toEqual([
      "cut.json",
      "deeper/notes.txt",
      "lost.json",
    ]);
  });

  it("draws its progress on a terminal's stderr only", async () => {
    const { stdout } = await peerbuf(["fleet", equalServers(1)], { isTerminal: true });

    expect(stdout).toContain("1 capture");
  });

  it.each([
    [["fleet", "no-such-folder"], "there is no such file or folder"],
    [["fleet", ".", "--threads", "many"], "expected a whole number"],
    [["fleet", ".", "--kernel", "2.4"], "2.4"],
    [["fleet", "."], "there are no captures"],
  ])("%j is wrong usage", async (argv, message) => {
    const { code, stdout, stderr } = await peerbuf(argv, { cwd: emptyFolder() });

    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });
});
