/**
 * Lspci parts: a listing of which only some was sent, and several listings in one file.
 */
import { judgePair, rulesForKernel, type Topology, topologyFromLspci } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { fullText, HEX_ROW, plain, problemOf, textOf } from "./lspci-claims.ts";
import { NIC, ROOT } from "./lspci-sample.ts";

const rules = rulesForKernel("6.12.117");
const read = (text: string): Topology => topologyFromLspci("listing", text);
const missing = (topology: Topology): string[] => topology.facts.missing.map(({ fact }) => fact);

describe("a part of a listing", () => {
  it("without the bridges of what it shows has gaps, and no verdict", () => {
    const topology = read(
      fullText("server-05")
        .split(/\n\n/)
        .filter((block) => !/PCI bridge/.test(block))
        .join("\n\n"),
    );

    expect(topology.facts.tree).toBe("none");
    const first = topology.endpoints[0] as number;
    const others = Array.from(topology.endpoints.subarray(1));
    const types = others.map((row) => judgePair(topology, rules, first, row).type);
    expect(new Set(types)).toEqual(new Set(["unknown"]));
  });

  it("with bridges picked by hand has chains, and does not name the host bridge", () => {
    const topology = read(ROOT.slice(ROOT.indexOf("00:01.0")) + NIC);

    expect(topology.facts.tree).toBe("chains");
    expect(missing(topology)).toContain("functions");
  });

  it.each(["...", "[...]", "<snip>", "--", "--snip--", "\u2026", "[ snipped ]"])(
    "with %s in it says that lines are missing: no capability is absent, no function either",
    (mark) => {
      const at = NIC.indexOf("\tCapabilities: [1a0");

      const topology = read(
        `${ROOT}${NIC.slice(0, at)}${mark}\n\n${NIC.replaceAll("01:00.0", "01:00.1")}`,
      );

      const acsOf = (bdf: string) => topology.acsOf(topology.require(bdf));
      expect([acsOf("01:00.0"), acsOf("01:00.1")]).toEqual([undefined, "absent"]);
      expect(topology.facts.tree).toBe("chains");
    },
  );

  it.each([
    ["whole", "with", "0000:00:00.0 Host bridge [0600]: Intel Corporation Device [8086:a706]\n"],
    ["gaps", "without", ""],
  ])("of a drive behind an Intel VMD is %s %s the machine's own bus 0", (tree, _, own) => {
    const port = `10000:e0:06.0 PCI bridge [0604]: Intel Corporation Device [8086:a74d]
	Bus: primary=e0, secondary=e1, subordinate=e1, sec-latency=0
`;
    const drive = "10000:e1:00.0 Non-Volatile memory controller [0108]: Samsung [144d:a80a]\n";

    const topology = read(own + port + drive);

    expect(topology.facts.tree).toBe(tree);
    expect(topology.bdfOf(topology.parentOf(topology.require("10000:e1:00.0")))).toBe(
      "10000:e0:06.0",
    );
  });

  it("goes on behind what a person left out, but not behind what grep left out", () => {
    const head = "01:00.0 PCI bridge: A\n\tCapabilities: [110 v1] Access Control Services\n";
    const control =
      "\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n";

    const [person, grep] = [`${head}\t\t...\n${control}`, `${head}--\n${control}`].map(read);

    expect(person?.acsOf(0)).toMatchObject({ control: 0x1d });
    expect(grep?.acsOf(0)).toBeUndefined();
  });

  it("of headers and ACSCtl lines keeps which register is whose", () => {
    const grep = fullText("server-05")
      .split("\n")
      .filter((line) => /^[0-9a-f]{4}:[0-9a-f]{2}:|ACSCtl/.test(line))
      .join("\n");
    const whole = read(fullText("server-05"));

    const topology = read(grep);

    const seen = topology
      .records()
      .flatMap(({ bdf, acs }) => (typeof acs === "object" ? [[bdf, acs.control]] : []));
    const all = whole
      .records()
      .flatMap(({ bdf, acs }) => (typeof acs === "object" ? [[bdf, acs.control & 0x7f]] : []));
    expect(seen).toEqual(all);
    expect(seen.length).toBeGreaterThan(5);
    expect(topology.records().some(({ acs }) => acs === "absent")).toBe(false);
  });

  it.each([
    ["none of them", ["-", "-"], "none of 2 redirects peer traffic"],
    ["one of them", ["+", "-"], "1 of 2 redirect peer traffic, but not which"],
  ])(
    "of ACSCtl lines alone says that %s redirects, and nothing of a path",
    (_, signs, expected) => {
      const lines = signs.map(
        (sign) =>
          `\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir${sign} CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-\n`,
      );

      const topology = read(lines.join(""));

      expect([topology.count, topology.facts.tree]).toEqual([0, "none"]);
      expect(topology.facts.format).toContain(expected);
    },
  );
});

describe("several listings in one file", () => {
  it("complete each other: a tree, and details of what it draws", () => {
    const details = fullText("server-05").replace(HEX_ROW, "");
    const alone = read(details);

    const topology = read(
      `$ lspci -tv\n${textOf("server-05", "lspci-tv.txt")}\n$ sudo lspci -vvv\n${details}`,
    );

    expect(topology.facts.format).toBe("lspci (details, tree)");
    expect(plain(topology)).toEqual(plain(alone));
  });

  it.each([
    ["a list before the details", (list: string, details: string) => list + details],
    ["a list behind the details", (list: string, details: string) => `${details}\n${list}`],
    ["the details twice", (_: string, details: string) => `${details}\n${details}`],
  ])("complete each other in any order: %s", (_, together) => {
    const resizable = `${NIC.slice(0, NIC.indexOf("\tKernel"))}	Capabilities: [200 v1] Physical Resizable BAR
		BAR 0: current size: 8MB, supported: 8MB 16MB

`;
    const list =
      "00:00.0 Host bridge [0600]: Intel Corporation Device [8086:3c00]\n01:00.0 Ethernet controller [0200]: Intel Corporation X710 [8086:1572]\n";
    const cases = [
      [list, ROOT + resizable],
      [textOf("server-05", "lspci-nn.txt"), fullText("server-05")],
    ] as const;

    for (const [short, long] of cases) {
      const topology = read(together(short, long));

      expect(plain(topology)).toEqual(plain(read(long)));
      expect(topology.facts.tree).toBe("whole");
      expect(topology.resizableBarsOf(topology.count - 1)).toEqual(
        read(long).resizableBarsOf(topology.count - 1),
      );
    }
  });

  it("are two machines when ids differ, and two moments when ACS does", () => {
    const other = (from: string, to: string) => problemOf(ROOT + ROOT.replaceAll(from, to)).cause;

    expect(other("8086:3c00", "8086:3c01")).toMatch(
      /device id of 0000:00:00.0 is 0x3c00 in line 1 and 0x3c01 in line 12/,
    );
    expect(
      other(
        "ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n\n",
        "ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-\n\n",
      ),
    ).toMatch(/ACS control of 0000:00:01.0 is 0x1d/);
  });
});
