/**
 * Lspci forms: what people send: other options, picked parts, pasted text, several listings in one file.
 */
import { InputError } from "@peerbuf/core";
import {
  judgePair,
  PORT_TYPE,
  readCapture,
  rulesForKernel,
  type Topology,
  topologyFromLspci,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, captureFolder } from "./captures.ts";
import {
  expectNothingInvented,
  expectSubset,
  formOf,
  fullText,
  HEX_ROW,
  plain,
  textOf,
} from "./lspci-claims.ts";

const rules = rulesForKernel("6.12.117");
const read = (text: string): Topology => topologyFromLspci("listing", text);
const missing = (topology: Topology): string[] => topology.facts.missing.map(({ fact }) => fact);

/** What a text is refused for. */
function problemOf(text: string) {
  try {
    read(text);
  } catch (error) {
    if (error instanceof InputError) {
      return error.problem;
    }
    throw error;
  }
  throw new Error("the text was read");
}

const ROOT = `00:00.0 Host bridge [0600]: Intel Corporation Device [8086:3c00]

00:01.0 PCI bridge [0604]: Intel Corporation Root Port [8086:3c02] (prog-if 00 [Normal decode])
	Control: I/O+ Mem+
	Status: Cap+ 66MHz-
	Bus: primary=00, secondary=01, subordinate=02, sec-latency=0
	Capabilities: [90] Express (v2) Root Port (Slot+), MSI 00
	Capabilities: [110 v1] Access Control Services
		ACSCap:	SrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
		ACSCtl:	SrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-

`;
const NIC = `01:00.0 Ethernet controller [0200]: Intel Corporation X710 [8086:1572]
	Control: I/O- Mem+
	Status: Cap+ 66MHz-
	Region 0: Memory at 92000000 (64-bit, prefetchable) [size=8M]
	Capabilities: [a0] Express (v2) Endpoint, MSI 00
		LnkCap:	Port #0, Speed 8GT/s, Width x8, ASPM L0s L1
		LnkSta:	Speed 8GT/s (ok), Width x4 (downgraded)
	Capabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)
		IOVCap:	Migration- 10BitTagReq- IntMsgNum 0
		Initial VFs: 64, Total VFs: 64, Number of VFs: 2, Function Dependency Link: 00
		VF offset: 256, stride: 1, Device ID: 154c
		Region 0: Memory at 0000000092800000 (64-bit, prefetchable)
	Capabilities: [1a0 v1] Transaction Processing Hints
	Kernel driver in use: i40e
	Kernel modules: i40e

`;
const VIRTUAL = [0, 1].map(
  (fn) =>
    `02:00.${fn} Ethernet controller [0200]: Intel Corporation Virtual Function [8086:154c]\n\n`,
);

describe("the forms in which lspci prints server-05", () => {
  it.each([
    ["t", "whole", "tree"],
    ["tvnn", "whole", "tree"],
    ["n", "none", "list"],
    ["mm", "none", "list"],
    ["mmnn", "none", "list"],
    ["vmmnn", "none", "list"],
    ["PPnn", "whole", "tree"],
    ["v", "whole", "details"],
    ["vvvnn", "whole", "details"],
    ["x", "gaps", "config space"],
  ])("-%s has a tree of kind %s and claims nothing false", async (options, tree, format) => {
    const whole = await readCapture(captureFolder("server-05"));

    const topology = read(formOf("server-05", options));

    expect([topology.facts.tree, topology.facts.format]).toEqual([tree, `lspci (${format})`]);
    expect(topology.count).toBe(whole.count);
    expectSubset(topology, whole);
    expectNothingInvented(topology, rules, "server-05");
  });

  it("-P, which leaves the bus numbers out, is refused with the option that prints them", () => {
    expect(
      problemOf("00:00.0 Host bridge: A\n00:03.0/00.0 VGA compatible controller: B\n"),
    ).toMatchObject({
      place: "line 2",
      cause: expect.stringContaining("lspci -PP"),
    });
  });
});

describe("two domains, one with five digits, and virtual functions on buses of their own", () => {
  const placeOf = (topology: Topology, bdf: string) => {
    const { parent, rootBus } = topology.record(topology.require(bdf));
    return [parent, rootBus];
  };

  it.each(["t", "PPnn", "PPvvvnn"])("-%s shows where everything hangs", (options) => {
    const topology = read(formOf("two-domains", options));

    expect(topology.facts.tree).toBe("whole");
    expect(placeOf(topology, "0000:02:00.1")).toEqual(["0000:00:03.0", "0000:00"]);
    expect(placeOf(topology, "0000:05:00.0")).toEqual(["0000:00:04.0", "0000:00"]);
    expect(placeOf(topology, "10000:01:00.0")).toEqual(["10000:00:00.0", "10000:00"]);
  });

  it("-xxx shows only that buses 02, 04 and 05 are somewhere below, which is a gap", () => {
    const topology = read(formOf("two-domains", "xxx"));

    expect(topology.facts.tree).toBe("gaps");
    expect(placeOf(topology, "0000:01:00.0")).toEqual(["0000:00:03.0", "0000:00"]);
    const pair = ["0000:02:00.0", "0000:01:00.0"].map((bdf) => topology.require(bdf));
    expect(judgePair(topology, rules, pair[0] as number, pair[1] as number).type).toBe("unknown");
  });
});

describe("virtual functions in a listing", () => {
  it("belong to the function whose SR-IOV capability counts them", () => {
    const topology = read(ROOT + NIC + VIRTUAL.join(""));

    const owners = ["02:00.0", "02:00.1"].map((bdf) => topology.record(topology.require(bdf)));
    expect(owners.map((record) => record.physicalFunction)).toEqual([
      "0000:01:00.0",
      "0000:01:00.0",
    ]);
    expect(owners.map((record) => record.parent)).toEqual(["0000:00:01.0", "0000:00:01.0"]);
    expect(topology.facts.tree).toBe("whole");
    expect(topology.barsOf(topology.require("01:00.0"))).toHaveLength(1);
  });

  it("are orphans, and the tree has a gap, when their owner's capability was not shown", () => {
    const topology = read(
      ROOT +
        NIC.replace(/\tCapabilities:[\s\S]*?(?=\tKernel)/, "\tCapabilities: <access denied>\n") +
        VIRTUAL.join(""),
    );

    expect(topology.facts.tree).toBe("gaps");
    expect(missing(topology)).toContain("bridges");
  });

  it("cannot be claimed without end", () => {
    const many = NIC.replace("Number of VFs: 2", "Number of VFs: 65535");

    expect(problemOf(ROOT + many + many.replaceAll("01:00.0", "01:00.1")).cause).toMatch(
      /more than 65536 virtual functions/,
    );
  });
});

describe("what a listing says in words", () => {
  const topology = read(ROOT + NIC);
  const nic = topology.require("01:00.0");

  it("is the link, the BAR, the driver and the kind of port", () => {
    const record = topology.record(nic);

    expect(record).toMatchObject({
      link: { speedMtps: 8000, speedMaxMtps: 8000, width: 4, widthMax: 8 },
      bars: [{ index: 0, start: 0x92000000, size: 2 ** 23, wide: true, prefetchable: true }],
      driver: "i40e",
      portType: PORT_TYPE.ENDPOINT,
      acs: "absent",
    });
    expect(topology.facts.modelNames.get("0000:01:00.0")).toBe("Intel Corporation X710");
  });

  it.each([
    [
      "Memory at <unassigned> (64-bit, prefetchable) [disabled]",
      { start: 0, wide: true, prefetchable: true, assigned: false },
    ],
    [
      "[virtual] Memory at 92000000 (32-bit, non-prefetchable) [size=8M]",
      { start: 0x92000000, size: 2 ** 23, assigned: true },
    ],
    [
      "Memory at 92000000 (32-bit, non-prefetchable) [disabled] [size=256]",
      { start: 0x92000000, size: 256, assigned: true },
    ],
    ["I/O ports at e000 [size=64]", { kind: "io", start: 0xe000, size: 64 }],
    ["Memory at 92000000 (64-bit, prefetch", undefined],
    ["Memory at ffffffffffff0000 (64-bit, prefetchable) [size=64K]", undefined],
  ])("is a BAR in every state: %s", (region, expected) => {
    const row = read(ROOT + NIC.replace(/Region 0: Memory.*/, `Region 0: ${region}`));

    const bar = row.barOf(row.require("01:00.0"), 0);
    expect(bar).toEqual(expected === undefined ? undefined : expect.objectContaining(expected));
  });

  it("is ACS as the register, so that a redirect is seen without config space", () => {
    expect(topology.acsOf(topology.require("00:01.0"))).toMatchObject({
      capability: 0x1f,
      control: 0x1d,
    });
  });

  it("is resizable BARs with the sizes they could have", () => {
    const gpu = `03:00.0 VGA compatible controller: NVIDIA Corporation GPU
	Capabilities: [bb0 v1] Physical Resizable BAR
		BAR 0: current size: 16MB, supported: 16MB
		BAR 1: current size: 256MB, supported: 64MB 128MB 256MB 1GB
`;
    const row = read(gpu).require("03:00.0");

    expect(read(gpu).resizableBarsOf(row)).toEqual([
      { index: 0, size: 2 ** 24, sizesSupported: [2 ** 24] },
      { index: 1, size: 2 ** 28, sizesSupported: [2 ** 26, 2 ** 27, 2 ** 28, 2 ** 30] },
    ]);
  });

  it.each([
    [
      "no capability is shown and one could follow",
      NIC.slice(0, NIC.indexOf("\tCapabilities: [160")),
    ],
    [
      "an ordinary user saw none",
      NIC.replace(/\tCapabilities: \[[\s\S]*$/, "\tCapabilities: <access denied>\n\n"),
    ],
    [
      "lines were picked",
      "01:00.0 Ethernet controller: X710\n\tCapabilities: [a0] Express (v2) Endpoint\n\n",
    ],
    [
      "-v names ACS without its registers",
      `${NIC.trimEnd()}\n`.replace("Transaction Processing Hints", "Access Control Services"),
    ],
    [
      "its line was cut",
      NIC.replace(
        "[1a0 v1] Transaction Processing Hints",
        "[1a0 v1] Access Control Services\n\t\tACSCtl:\tSrcValid- TransBlk- ReqRedir- CmpltRe",
      ),
    ],
  ])('is not "no ACS" when %s', (_, nicText) => {
    const part = read(ROOT + nicText);

    expect(part.acsOf(part.require("01:00.0"))).toBeUndefined();
  });

  it('is not "no ACS" where no function shows an extended capability', () => {
    const part = read(NIC.replace(/\tCapabilities: \[1[\s\S]*?(?=\tKernel)/, ""));

    expect(part.acsOf(part.require("01:00.0"))).toBeUndefined();
  });

  it("must agree with the config space beside it", () => {
    const text = fullText("tiny-01");
    const [, secondary = ""] = /secondary=([0-9a-f]{2})/.exec(text) ?? [];

    expect(problemOf(text.replace(`secondary=${secondary}`, "secondary=77"))).toMatchObject({
      place: expect.stringMatching(/^line \d+$/),
      cause: expect.stringMatching(/bus below of .*: the words say 0x77, the config space 0x/),
    });
    expect(problemOf(text.replace("[1b36:000c]", "[1b36:000d]")).cause).toMatch(/device id of/);
    expect(problemOf(text.replace(/(ACSCtl:.*)ReqRedir-/, "$1ReqRedir+")).cause).toMatch(
      /ACS control of .*RR/,
    );
  });
});

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

describe.each(["server-05", "conv-02", "sriov-01"])("the listing of %s, pasted", (name) => {
  const text = fullText(name);
  const expected = plain(read(text));

  it.each<[string, (text: string) => string]>([
    ["with a prompt and blank lines before", (t) => `\n\n[root@node ~]# lspci -vvv\n${t}`],
    ["with carriage returns", (t) => t.replaceAll("\n", "\r\n")],
    ["quoted in a mail", (t) => t.replace(/^/gm, "> ")],
    ["quoted twice", (t) => t.replace(/^/gm, ">> ")],
    ["with blanks for tabs", (t) => t.replaceAll("\t", "        ")],
    ["indented as code", (t) => t.replace(/^(?=.)/gm, "    ")],
    ["with all indentation lost", (t) => t.replace(/^[ \t]+/gm, "")],
    ["with hard spaces", (t) => t.replace(/^(\t+)/gm, (tabs) => "\u00a0".repeat(tabs.length * 4))],
    ["with terminal colours", (t) => t.replace(/^([0-9a-f:.]+) /gm, "\u001b[1m$1\u001b[0m ")],
    ["with doubled line ends", (t) => t.replaceAll("\n", "\n\n")],
    ["with upper case digits", (t) => t.replace(HEX_ROW, (row) => row.toUpperCase())],
    ["with a byte order mark", (t) => `\ufeff${t}`],
  ])("reads the same %s", (_, paste) => {
    expect(plain(read(paste(text)))).toEqual(expected);
  });

  it("reads the same wrapped by a mail program", () => {
    const wrapped = text.replace(/^(?![0-9a-f]{2,3}: ).{73,}$/gm, (line) =>
      line.replace(/(.{40,72}) (?=\S)/g, "$1\n"),
    );

    expect(wrapped).not.toBe(text);
    expect(plain(read(wrapped))).toEqual(expected);
  });

  it("reads the same with its functions in another order", () => {
    const blocks = text.trimEnd().split("\n\n");

    expect(plain(read(`${blocks.reverse().join("\n\n")}\n\n`))).toEqual(expected);
  });
});

describe("a tree that was pasted", () => {
  it.each<[string, (text: string) => string]>([
    ["quoted in a mail", (t) => t.replace(/^/gm, "> ")],
    ["indented as code", (t) => t.replace(/^/gm, "    ")],
    [
      "with tabs for blanks",
      (t) => t.replace(/^( {8})+/gm, (blanks) => "\t".repeat(blanks.length / 8)),
    ],
    ["with names cut", (t) => t.replace(/^(.*[01][0-9a-f]\.[0-7] {2}.{3}).*$/gm, "$1")],
    ["with names wrapped", (t) => t.replace(/^(.* {2}\S+ )(\S.*)$/gm, "$1\n$2")],
  ])("reads the same %s", (_, paste) => {
    for (const name of CAPTURES) {
      const text = textOf(name, "lspci-tv.txt");
      const places = (topology: Topology) =>
        topology.records().map(({ bdf, parent, secondaryBus }) => [bdf, parent, secondaryBus]);

      expect(places(read(paste(text)))).toEqual(places(read(text)));
    }
  });

  it.each([
    [
      "a bridge's line was lost",
      (t: string) => t.replace(/^.*-\[01\]-.*\n/m, ""),
      /hangs on nothing/,
    ],
    [
      "a line was cut within its branches",
      (t: string) => t.replace(/^(.*\[02-06\]--).*$/m, "$1"),
      /cut|expected a function|hangs on nothing/,
    ],
    [
      "a line was cut behind a function",
      (t: string) => t.replace(/^(.*\+-1f\.0).*$/m, "$1"),
      /cut behind a function/,
    ],
  ])("is refused with the line when %s", (_, damage, expected) => {
    const problem = problemOf(damage(textOf("sriov-01", "lspci-tv.txt")));

    expect(problem.cause).toMatch(expected);
    expect(problem.place).toMatch(/^line \d+$/);
  });
});
