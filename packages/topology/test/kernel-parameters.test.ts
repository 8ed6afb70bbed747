/**
 * Kernel parameters: our reading of `pci=` against what the real kernel did with it, and the grammar itself.
 */
import {
  buildTopology,
  checkCommandLine,
  controlUnder,
  parseAcsSettings,
  parseCommandLine,
  parseDeviceList,
  readCapture,
  type Topology,
} from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CAPTURES, captureFolder } from "./captures.ts";

/** Ports whose control `setpci` changed after boot, from each capture's machine.json. */
const CHANGED_LATER: ReadonlySet<string> = new Set([
  "multihost-09 0000:20:01.0",
  "switch-01 0000:07:00.0",
  "switch-01 0000:0b:01.0",
]);

const machines = await Promise.all(
  CAPTURES.map(async (name) => [name, await readCapture(captureFolder(name))] as const),
);
const withParameters = machines.filter(([, { facts }]) => facts.commandLine?.includes("pci="));

describe.each(withParameters)(
  "captured machine %s, booted with ACS parameters",
  (name, topology) => {
    it("has the ACS control that they ask for, so booting again with them changes nothing", () => {
      const words = parseCommandLine(topology.facts.commandLine ?? "");
      const changed = [...controlUnder(topology, words)]
        .map(([row]) => topology.bdfOf(row))
        .filter((bdf) => !CHANGED_LATER.has(`${name} ${bdf}`));

      expect(changed).toEqual([]);
    });

    it("is said to be understood by the kernel", () => {
      const ignored = checkCommandLine(topology, "6.12").filter(
        ({ severity }) => severity !== "note",
      );

      expect(ignored).toEqual([]);
    });
  },
);

/**
 * What Linux 6.12.117 did with each command line on a machine with two root ports, 00:03.0 and 00:04.0
 * (1b36:000c), and an IOMMU on, so that both have ACS control 0x1d without a parameter: which of them lost its
 * redirect bits, and what the kernel logged.
 */
const SEEN: readonly (readonly [string, readonly string[], string | undefined])[] = [
  ["pci=disable_acs_redir=00:03.0;00:04.0", ["00:03.0", "00:04.0"], undefined],
  ["pci=disable_acs_redir=00:03.0,00:04.0", ["00:03.0"], "PCI: Unknown option `00:04.0'"],
  ["pci=disable_acs_redir=00:03.0 pci=disable_acs_redir=00:04.0", ["00:04.0"], "(nothing)"],
  ["pci=disable_acs_redir=pci:1b36:000c", ["00:03.0", "00:04.0"], undefined],
  ["pci=disable_acs_redir=pci:1b36:*;00:04.0", [], "Can't parse ACS command line parameter"],
  [
    "pci=disable_acs_redir=00:04.0;gpu0;00:03.0",
    ["00:04.0"],
    "Can't parse ACS command line parameter",
  ],
  ["pci=disable_acs_redir=00:03.0;;00:04.0", ["00:03.0"], "Can't parse ACS command line parameter"],
  ["pci=disable_acs_redir=0000:00:4.0", ["00:04.0"], undefined],
  ["pci=config_acs=10x", [], "ACS Flags missing"],
  ["pci=config_acs=xx000xx@00:03.0;00:04.0", ["00:03.0"], "ACS Flags missing"],
  ["pcie_acs_override=downstream", [], "Unknown kernel command line parameters"],
  ["amd_iommu=on", [], "AMD-Vi: Unknown option - 'on'"],
];

describe.each(SEEN)("command line %s", (commandLine, cleared, logged) => {
  const port = (bdf: string) => ({
    bdf,
    parent: null,
    vendor: 0x1b36,
    device: 0x000c,
    acs: { capability: 0x5f, control: 0x1d },
  });
  const topology = buildTopology("two root ports", [port("00:03.0"), port("00:04.0")]).withFacts({
    commandLine,
  });

  it("clears redirect on the ports on which the real kernel cleared it", () => {
    const control = controlUnder(topology, parseCommandLine(commandLine));
    const without = ["00:03.0", "00:04.0"].filter(
      (bdf) => ((control.get(topology.require(bdf)) ?? 0x1d) & 0x2c) === 0,
    );

    expect(without).toEqual(cleared);
  });

  it("is complained about if and only if a part of it did nothing", () => {
    expect(checkCommandLine(topology, "6.12").length > 0).toBe(logged !== undefined);
  });
});

describe("device list", () => {
  it("reads addresses with and without domain, paths and ids", () => {
    expect(
      parseDeviceList("0000:12:00.0;3a:01.1;10000:00:02.0/00.0/1f.7;pci:104c:8233").selectors,
    ).toEqual([
      { kind: "path", domain: 0, bus: 0x12, devfns: [0] },
      { kind: "path", domain: 0, bus: 0x3a, devfns: [9] },
      { kind: "path", domain: 0x10000, bus: 0, devfns: [16, 0, 0xff] },
      { kind: "id", vendor: 0x104c, device: 0x8233, subvendor: 0, subdevice: 0 },
    ]);
  });

  it.each([
    ["12:00.0,3a:01.0", "12:00.0,3a:01.0"],
    ["12:00.0;;3a:01.0", ";3a:01.0"],
    ["12:00;3a:01.0", "12:00;3a:01.0"],
    ["12:00.0; 3a:01.0", " 3a:01.0"],
    ["12:00.8", "12:00.8"],
    ["pci:104c", "pci:104c"],
    ["pci:10de:*", "pci:10de:*"],
    ["nvme0", "nvme0"],
  ])("stops reading %j at %j", (text, rest) => {
    expect(parseDeviceList(text).rest).toBe(rest);
  });

  it("takes a semicolon at the end for the end", () => {
    expect(parseDeviceList("12:00.0;").rest).toBeUndefined();
  });

  it("finds every list of addresses that it is given, whatever the addresses", () => {
    const address = fc
      .tuple(fc.nat(0xfffff), fc.nat(0xff), fc.nat(0x1f), fc.nat(7))
      .map(([domain, bus, device, fn]) => ({
        text: `${domain.toString(16)}:${bus.toString(16)}:${device.toString(16)}.${fn}`,
        selector: { kind: "path", domain, bus, devfns: [device * 8 + fn] },
      }));
    fc.assert(
      fc.property(fc.array(address, { minLength: 1, maxLength: 20 }), (addresses) => {
        const list = parseDeviceList(addresses.map(({ text }) => text).join(";"));
        expect(list).toEqual({ selectors: addresses.map(({ selector }) => selector) });
      }),
    );
  });

  it("never throws, and what it has not read is the end of the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0aF:;./pci,x ") }), (text) => {
        expect(text.endsWith(parseDeviceList(text).rest ?? "")).toBe(true);
      }),
    );
  });
});

describe("config_acs", () => {
  it("reads flags from the right, x leaving a bit alone", () => {
    expect(parseAcsSettings("10x@pci:0:0").settings).toMatchObject([{ mask: 0b110, flags: 0b100 }]);
  });

  it.each([
    ["10x", "ACS Flags missing"],
    ["12x@00:01.0", "Invalid ACS flags"],
    ["10000000@00:01.0", "Invalid ACS flags specified"],
    ["1@nobody", "Can't parse ACS command line parameter"],
  ])("is ignored by the kernel as %j: %s", (text, fault) => {
    expect(parseAcsSettings(text)).toEqual({ settings: [], fault });
  });

  it("starts from the value without it again, so it overrules disable_acs_redir on the same function", () => {
    const port = buildTopology("one port", [
      { bdf: "00:01.0", parent: null, acs: { capability: 0x5f, control: 0x1d } },
    ]);
    const under = (line: string) => [...controlUnder(port, parseCommandLine(line))];

    expect(under("pci=disable_acs_redir=00:01.0")).toEqual([[0, 0x11]]);
    expect(under("pci=disable_acs_redir=00:01.0 pci=config_acs=1x@00:01.0")).toEqual([[0, 0x1f]]);
  });
});

describe("check of the command line", () => {
  const machineWith = (commandLine: string): Topology =>
    buildTopology("two ports", [
      { bdf: "00:01.0", parent: null, acs: { capability: 0x5f, control: 0x1d } },
      { bdf: "00:02.0", parent: null, acs: { capability: 0x5f, control: 0x1d } },
      { bdf: "00:03.0", parent: null, acs: "absent" },
    ]).withFacts({ commandLine });
  const complaints = (commandLine: string, version = "6.12") =>
    checkCommandLine(machineWith(commandLine), version);

  it("finds the list written with commas, and says what to write", () => {
    const [complaint] = complaints("ro pci=disable_acs_redir=00:01.0,00:02.0 quiet");

    expect(complaint?.text).toContain("00:02.0 is taken for an unknown option");
    expect(complaint?.fixes[0]?.text).toContain("pci=disable_acs_redir=00:01.0;00:02.0");
  });

  it("shows that the commas really lose the second port", () => {
    const changed = (line: string) => [
      ...controlUnder(machineWith(line), parseCommandLine(line)).keys(),
    ];

    expect(changed("pci=disable_acs_redir=00:01.0,00:02.0")).toEqual([0]);
    expect(changed("pci=disable_acs_redir=00:01.0;00:02.0")).toEqual([0, 1]);
  });

  it("finds an option that is given twice, of which the last counts", () => {
    const [complaint] = complaints(
      "pci=disable_acs_redir=00:01.0 pci=noaer,disable_acs_redir=00:02.0",
    );

    expect(complaint?.text).toContain("only the last counts");
    expect(complaint?.fixes[0]?.text).toContain("pci=disable_acs_redir=00:01.0;00:02.0");
  });

  it.each([
    ["pci=disable_acs_redir=gpu0", 'stops reading at "gpu0"', "6.12"],
    ["pci=disable_acs_redir=00:03.0", "no ACS capability", "6.12"],
    ["pci=config_acs=10x", "ACS Flags missing", "6.12"],
    ["pci=config_acs=10x@pci:0:0", "Linux 6.1 has no such option", "6.1"],
    ["pci=config_acs=10x@pci:0:0", "Linux 5.19 has no such option", "5.19"],
    ["pci=config_acs=10x@pci:0:0", "whether Linux 6.6 has this option is not known", "6.6"],
    ["pcie_acs_override=downstream", "no mainline kernel", "6.12"],
    ["amd_iommu=on", "is no value of amd_iommu", "6.12"],
  ])("has something to say about %s: %s", (line, text, version) => {
    expect(
      complaints(line, version)
        .map((each) => each.text)
        .join(),
    ).toContain(text);
  });

  it.each([
    "root=/dev/sda1 ro quiet",
    "pci=noaer,disable_acs_redir=00:01.0;00:02.0",
    "pci=config_acs=10x@pci:0:0",
    "intel_iommu=on iommu=pt",
  ])("has nothing to say about %s", (line) => {
    expect(complaints(line)).toEqual([]);
  });
});
