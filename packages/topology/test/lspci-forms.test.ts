/**
 * Lspci forms: what people send: other options, picked parts, pasted text, several listings in one file.
 */
import {
  judgePair,
  PORT_TYPE,
  PORT_TYPE_UNKNOWN,
  readCapture,
  rulesForKernel,
  type Topology,
  topologyFromLspci,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { captureFolder } from "./captures.ts";
import {
  expectNothingInvented,
  expectSubset,
  formOf,
  fullText,
  problemOf,
} from "./lspci-claims.ts";
import { NIC, ROOT, VIRTUAL } from "./lspci-sample.ts";

const rules = rulesForKernel("6.12.117");
const read = (text: string): Topology => topologyFromLspci("listing", text);
const missing = (topology: Topology): string[] => topology.facts.missing.map(({ fact }) => fact);

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

  it.each([
    ["vvvnn", 0x010802],
    ["mmnn", 0x010802],
    ["vmmnn", 0x010802],
    ["n", 0x010800],
  ])("-%s shows the programming interface, or leaves it zero: %i", (options, classCode) => {
    const topology = read(formOf("server-05", options));

    expect(topology.table.classCode[topology.require("16:00.0")]).toBe(classCode);
  });

  it.each([
    ["t", "acs ids classes port-types bars resizable-bars links numa drivers iommu-groups"],
    ["n", "bridges acs port-types bars resizable-bars links numa drivers iommu-groups"],
    // `lspci -F` knows neither sizes nor drivers.
    ["vvvnn", "bars numa drivers iommu-groups"],
    ["x", "bridges bars numa drivers iommu-groups"],
  ])("-%s says which facts it cannot carry", (options, expected) => {
    const always = ["cpu", "iommu-mode", "kernel", "command-line", "kernel-config"];

    const topology = read(formOf("server-05", options));

    expect(missing(topology)).toEqual([...expected.split(" "), ...always]);
    expect(topology.facts.missing.every(({ command }) => command.length > 0)).toBe(true);
  });

  it("-Dvvvxxxx on the machine itself lacks only what lspci never shows", () => {
    const topology = read(fullText("server-05"));

    expect(missing(topology)).toEqual([
      "cpu",
      "iommu-mode",
      "kernel",
      "command-line",
      "kernel-config",
    ]);
  });

  it.each([
    [
      "a host bridge by QEMU",
      "00:00.0 Host bridge [0600]: Intel [8086:29c0]\n\tSubsystem: Red Hat, Inc. QEMU [1af4:1100]\n",
      true,
    ],
    [
      "a service device of VMware",
      "00:07.7 System peripheral [0880]: VMware VMCI [15ad:0740]\n",
      true,
    ],
    [
      "a virtio card",
      "00:00.0 Host bridge [0600]: AMD [1022:14a4]\n05:00.0 Ethernet controller [0200]: virtio [1af4:1041]\n\tSubsystem: Red Hat, Inc. [1af4:1100]\n",
      undefined,
    ],
  ])("tells a virtual machine only by what no real one has: %s", (_, text, expected) => {
    expect(read(text).facts.isVirtualMachine).toBe(expected);
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

  it.each([
    ["where the first one is", /\t\tVF offset.*\n/],
    ["how many there are", /\t\tInitial VFs.*\n/],
  ])("have no owner when the line that says %s is missing", (_, line) => {
    const topology = read(ROOT + NIC.replace(line, "") + VIRTUAL.join(""));

    expect(topology.record(topology.require("02:00.0")).physicalFunction).toBeUndefined();
    expect(topology.facts.tree).toBe("gaps");
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

  it('is "no ACS" of the last function when its block ends, and not when the text does', () => {
    const last = NIC.slice(0, NIC.indexOf("\tKernel driver"));

    const [ended, cut] = [`${last}\n`, last].map((nic) => read(ROOT + nic));

    expect(ended?.acsOf(ended.require("01:00.0"))).toBe("absent");
    expect(cut?.acsOf(cut.require("01:00.0"))).toBeUndefined();
  });

  it('is not "no ACS" where no function shows an extended capability', () => {
    const part = read(NIC.replace(/\tCapabilities: \[1[\s\S]*?(?=\tKernel)/, ""));

    expect(part.acsOf(part.require("01:00.0"))).toBeUndefined();
  });

  it("is nothing but ids of a function that does not answer", () => {
    const ones = Array.from(
      { length: 16 },
      (_, row) => `${row.toString(16)}0:${" ff".repeat(16)}\n`,
    );
    const asleep = `01:00.0 VGA compatible controller [0300]: NVIDIA Corporation GPU [10de:2684] (rev ff) (prog-if ff)
	!!! Unknown header type 7f
	Kernel driver in use: nvidia
${ones.join("")}
`;

    const topology = read(ROOT + asleep);

    const record = topology.record(topology.require("01:00.0"));
    expect(record).toMatchObject({
      vendor: 0x10de,
      device: 0x2684,
      classCode: 0x030000,
      driver: "nvidia",
    });
    expect([record.acs, record.portType, record.config?.length, record.bars]).toEqual([
      undefined,
      PORT_TYPE_UNKNOWN,
      0,
      [],
    ]);
  });

  it("must agree with the config space beside it", () => {
    const text = fullText("tiny-01");
    const [, secondary = ""] = /secondary=([0-9a-f]{2})/.exec(text) ?? [];

    expect(problemOf(text.replace(`secondary=${secondary}`, "secondary=77"))).toMatchObject({
      place: expect.stringMatching(/^line \d+$/),
      cause: expect.stringMatching(/bus below of .*: the words say 0x77, the config space 0x/),
    });
    const port = fullText("sriov-01").replace("Express (v2) Endpoint", "Express (v2) Root Port");
    expect(problemOf(port).cause).toMatch(/kind of port of .*: the words say 0x04, .* 0x00/);
    expect(problemOf(text.replace("[1b36:000c]", "[1b36:000d]")).cause).toMatch(/device id of/);
    expect(problemOf(text.replace(/(ACSCtl:.*)ReqRedir-/, "$1ReqRedir+")).cause).toMatch(
      /ACS control of .*RR/,
    );
  });
});
