/**
 * Merge captures: captures of one machine complete each other, what changes over time is named with both
 * sources, and captures of two machines are refused.
 */
import { join } from "node:path";
import { InputError } from "@peerbuf/core";
import {
  buildTopology,
  factsNamed,
  functionsOfMatrix,
  judgeAllPairs,
  judgePair,
  type MachineFacts,
  MERGE_COUNT_MAX,
  mergeCaptures,
  readCapture,
  readCaptures,
  rulesForKernel,
  type Topology,
  topologyFromSysfs,
  treeFromJson,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, captureFolder, kernelVerdicts, type SysfsJson, sysfsJson } from "./captures.ts";
import { COLLECTION_MISSING, realPath } from "./real-collection.ts";

const rules = rulesForKernel();

const open = (capture: SysfsJson, source: string): Topology =>
  topologyFromSysfs(treeFromJson(source, JSON.stringify(capture)));

/** What an ordinary user reads: headers only. */
function unprivileged(capture: SysfsJson): SysfsJson {
  for (const content of Object.values(capture.binary)) {
    content.hex = content.hex.slice(0, 128);
    content.length = Math.min(content.length, 64);
  }
  return capture;
}

/** Config spaces and the tree, but nothing of /proc and no ids of virtual functions. */
function withoutProc(capture: SysfsJson): SysfsJson {
  for (const path of Object.keys(capture.files)) {
    if (path.startsWith("proc/")) {
      delete capture.files[path];
    }
  }
  return capture;
}

describe.each(CAPTURES)(
  "captured machine %s, as two captures of which each lacks something",
  (name) => {
    it("is judged as the kernel judged it", () => {
      const topology = mergeCaptures([
        open(unprivileged(sysfsJson(name)), "as a user"),
        open(withoutProc(sysfsJson(name)), "as root"),
      ]);

      const pairs = judgeAllPairs(topology, rules);
      for (const { provider, client, type, distance } of kernelVerdicts(name)) {
        const [p, c] = [provider, client].map((bdf) => pairs.positionOf(topology.require(bdf)));
        const answer = [
          pairs.typeAt(p as number, c as number),
          pairs.distanceAt(p as number, c as number),
        ];
        expect(answer).toEqual([type, distance]);
      }
      expect(topology.facts.contradictions).toEqual([]);
      expect(topology.facts.source).toBe("as a user + as root");
    });

    it("given twice is the same machine", async () => {
      const once = await readCapture(captureFolder(name));
      const twice = mergeCaptures([once, once]);

      expect(twice.records()).toEqual(once.records());
      expect({ ...twice.facts }).toEqual({ ...once.facts });
    });
  },
);

const named = (source: string, facts: Partial<MachineFacts> = {}): MachineFacts => ({
  ...factsNamed(source),
  ...facts,
});
const PORT = { bdf: "00:01.0", vendor: 0x8086, device: 0x3c02, secondaryBus: 1, subordinateBus: 1 };
const CARD = { bdf: "01:00.0", vendor: 0x10de, device: 0x2230, classCode: 0x030000 };
const machine = (
  source: string,
  change: object = {},
  facts: Partial<MachineFacts> = {},
): Topology => buildTopology(named(source, facts), [PORT, { ...CARD, ...change }]);

describe("two captures that differ", () => {
  it.each<[string, object, object, string, string, string]>([
    [
      "a link",
      { link: { speedMtps: 2500 } },
      { link: { speedMtps: 16_000 } },
      "link speed (MT/s)",
      "2500",
      "16000",
    ],
    [
      "ACS control",
      { acs: { capability: 0x5d, control: 0 } },
      { acs: { capability: 0x5d, control: 0x1d } },
      "ACS",
      "no bit set of SV RR CR UF DT",
      "SV RR CR UF set of SV RR CR UF DT",
    ],
    ["the driver", { driver: "nvidia" }, { driver: "vfio-pci" }, "driver", "nvidia", "vfio-pci"],
    ["a BAR's size", bar(256), bar(65_536), "size of BAR 1", "268435456", "68719476736"],
  ])("in %s keep the first answer and name both", (_, one, other, fact, first, second) => {
    const merged = mergeCaptures([machine("before", one), machine("after", other)]);

    expect(merged.facts.contradictions).toEqual([
      {
        fact,
        at: "0000:01:00.0",
        values: [
          { source: "before", value: first },
          { source: "after", value: second },
        ],
      },
    ]);
    expect(merged.record(1)).toMatchObject(machine("before", one).record(1));
  });

  it.each<[string, Topology, RegExp]>([
    [
      "the id of a card",
      machine("two", { device: 0x20b5 }),
      /one and two: 0000:01:00.0: its device is 2230 in the one and 20b5 in the other/,
    ],
    [
      "the kind of a card",
      machine("two", { classCode: 0x010802 }),
      /its class is 0300 in the one and 0108/,
    ],
    [
      "the bus below a bridge",
      buildTopology(named("two"), [
        { ...PORT, secondaryBus: 2, subordinateBus: 2 },
        { ...CARD, bdf: "02:00.0" },
      ]),
      /its secondary bus is 01 in the one and 02/,
    ],
    [
      "the CPU",
      machine("two", {}, { cpu: { vendor: "AuthenticAMD" } }),
      /the CPU's vendor is GenuineIntel in the one and AuthenticAMD/,
    ],
    [
      "every address",
      buildTopology(named("two"), [{ ...CARD, bdf: "41:00.0" }]),
      /no PCI function in common/,
    ],
  ])("in %s are not of one machine", (_, other, message) => {
    const one = machine("one", {}, { cpu: { vendor: "GenuineIntel" } });

    expect(() => mergeCaptures([one, other])).toThrow(InputError);
    expect(() => mergeCaptures([one, other])).toThrow(message);
  });

  it("in a card that one of them shows and a whole listing does not, leave it out and say so", () => {
    const more = buildTopology(named("later"), [PORT, CARD, { ...CARD, bdf: "00:02.0" }]);
    const gaps = buildTopology(named("later", { tree: "gaps" }), more.records());

    const merged = mergeCaptures([machine("first"), gaps]);

    expect(merged.count).toBe(2);
    expect(merged.facts.contradictions).toMatchObject([{ fact: "presence", at: "0000:00:02.0" }]);
  });
});

function bar(mebibytes: number) {
  const size = mebibytes * 2 ** 20;
  return {
    bars: [{ index: 1, start: 0x1000000000, size, kind: "memory", wide: true, prefetchable: true }],
  };
}

describe("a capture whose tree has gaps", () => {
  it("takes the tree of one that has every bridge, in whichever order they are given", () => {
    const gaps = buildTopology(named("nccl", { tree: "gaps" }), [
      { bdf: "01:00.0", parent: null, link: { speedMtps: 16_000, width: 16 } },
    ]);

    for (const captures of [
      [gaps, machine("lspci")],
      [machine("lspci"), gaps],
    ]) {
      const merged = mergeCaptures(captures);
      expect(merged.facts.tree).toBe("whole");
      expect(merged.parentOf(merged.require("01:00.0"))).toBe(merged.require("00:01.0"));
      expect(merged.table.linkWidth[merged.require("01:00.0")]).toBe(16);
    }
  });

  it("is denied where it puts a card below a bridge that is elsewhere", () => {
    const switched = [PORT, { ...PORT, bdf: "00:02.0", secondaryBus: 2, subordinateBus: 2 }, CARD];
    const whole = buildTopology(named("lspci"), switched);
    const gaps = buildTopology(named("nccl", { tree: "gaps" }), [
      { bdf: "00:02.0", parent: null, headerType: 1 },
      { bdf: "01:00.0", parent: "00:02.0" },
    ]);

    expect(mergeCaptures([whole, gaps]).facts.contradictions).toMatchObject([
      {
        fact: "bridge above",
        at: "0000:01:00.0",
        values: [{ value: "0000:00:01.0" }, { value: "0000:00:02.0" }],
      },
    ]);
  });

  it("joined with a function of unknown place stays without a claim about distance", () => {
    const chains = buildTopology(named("hwloc", { tree: "chains" }), [PORT, CARD]);
    const list = buildTopology(named("list", { tree: "none" }), [
      CARD,
      { ...CARD, bdf: "c1:00.0" },
    ]);

    const merged = mergeCaptures([chains, list]);

    expect(merged.facts.tree).toBe("gaps");
    expect(judgePair(merged, rules, 1, 2).distance).toBe(-1);
  });
});

describe("captures given together", () => {
  it("are refused when there are none or too many", () => {
    expect(() => mergeCaptures([])).toThrow(/0 captures: 1 to 64 captures/);
    const one = machine("one");
    const many = Array.from({ length: MERGE_COUNT_MAX + 1 }, () => one);
    expect(() => mergeCaptures(many)).toThrow(InputError);
  });
});

if (COLLECTION_MISSING !== "") {
  console.warn(`merging real captures is skipped: ${COLLECTION_MISSING}`);
}

describe.skipIf(COLLECTION_MISSING !== "")("a real workstation captured in five pieces", () => {
  const pieces = [
    "lspci-tv.txt",
    "lspci-vvv-selected.txt",
    "kernel-cmdline.txt",
    "numactl-hardware.txt",
    "nvidia-smi-topo-m.txt",
  ].map((name) => realPath(join("puget-wrx90-2xrtx6000ada-cx7-nvme", name)));

  it("has the tree of the one, the BARs of the other, and hangs on the CPU that none of them names", async () => {
    const topology = await readCaptures(pieces);
    const [gpu, drive] = [topology.require("c1:00.0"), topology.require("05:00.0")];

    expect(topology.facts.commandLine).toContain("amd_iommu=off");
    expect(topology.barOf(gpu, 1)?.size).toBe(64 * 2 ** 30);
    expect(functionsOfMatrix(topology).get("GPU0")).toBe("0000:c1:00.0");
    const verdict = judgePair(topology, rules, gpu, drive);
    expect(verdict).toMatchObject({ type: "unknown", distance: 8 });
    expect(verdict.hangsOn.map(({ text }) => text)).toEqual([
      "if the CPU passes peer traffic whatever the host bridge: host-bridge, else unsupported",
    ]);
  });
});

describe("names from NCCL, which writes those of all functions of a card at the first", () => {
  it("give way to a capture that has each at its own function", () => {
    const port = { bdf: "01:00.1", vendor: 0x15b3, device: 0x1021, classCode: 0x020700 };
    const cards = [{ ...port, bdf: "01:00.0" }, port];
    const nccl = buildTopology(
      named("nccl.xml", {
        format: "NCCL topology XML",
        tree: "gaps",
        osNames: new Map([["0000:01:00.0", ["mlx5_0", "mlx5_1"]]]),
      }),
      [{ ...port, bdf: "01:00.0" }],
    );
    const exact = new Map([
      ["0000:01:00.0", ["mlx5_0"]],
      ["0000:01:00.1", ["mlx5_1"]],
    ]);

    const merged = mergeCaptures([nccl, buildTopology(named("sysfs", { osNames: exact }), cards)]);

    expect(merged.facts.osNames).toEqual(exact);
  });
});
