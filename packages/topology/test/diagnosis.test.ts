/**
 * Diagnosis: what is said about machines from the field, and what simpler rules get wrong.
 */
import {
  buildTopology,
  diagnoseMachine,
  diagnosePair,
  type Finding,
  type FindingCode,
  type FunctionRecord,
  PORT_TYPE,
  pathClassOf,
  readCapture,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, captureFolder, kernelVerdicts } from "./captures.ts";

const rules = rulesForKernel("6.12");
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const REDIRECT = { capability: 0x5f, control: 0x1d };
const VALIDATION_ONLY = { capability: 0x5f, control: 0x01 };
const XEON = { vendor: "GenuineIntel", family: 6, modelName: "Intel(R) Xeon(R) Gold 6338" };
const CORE = {
  vendor: "GenuineIntel",
  family: 6,
  modelName: "11th Gen Intel(R) Core(TM) i7-11700",
};
const WITH_P2PDMA = new Map([["CONFIG_PCI_P2PDMA", "y"]]);
const EPYC = { vendor: "AuthenticAMD", family: 0x19, modelName: "AMD EPYC 7543" };

type Part = Partial<FunctionRecord>;

/** One socket, one switch with two ports; a GPU and a NIC below them, a second GPU on a root port of its own. */
function server(
  parts: Readonly<Record<string, Part>> = {},
  facts: Partial<Topology["facts"]> = {},
) {
  const port = (
    bdf: string,
    parent: string | null,
    portType: number,
    bus: number,
  ): FunctionRecord => ({
    bdf,
    parent,
    portType,
    headerType: 1,
    classCode: 0x060400,
    secondaryBus: bus,
    subordinateBus: bus === 1 ? 4 : bus === 2 ? 4 : bus,
    vendor: 0x104c,
    device: 0x8232,
    acs: "absent",
    ...(parent === null && { rootBus: "0000:00" }),
  });
  const device = (bdf: string, parent: string, classCode: number): FunctionRecord => ({
    bdf,
    parent,
    classCode,
    vendor: 0x10de,
    device: 0x20b2,
    portType: PORT_TYPE.ENDPOINT,
    acs: "absent",
  });
  const records: FunctionRecord[] = [
    {
      bdf: "00:00.0",
      parent: null,
      rootBus: "0000:00",
      vendor: 0x8086,
      device: 0x09a2,
      classCode: 0x060000,
      acs: "absent",
    },
    port("00:01.0", null, PORT_TYPE.ROOT_PORT, 1),
    port("01:00.0", "00:01.0", PORT_TYPE.SWITCH_UPSTREAM, 2),
    port("02:00.0", "01:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, 3),
    port("02:01.0", "01:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, 4),
    device("03:00.0", "02:00.0", 0x030200),
    device("04:00.0", "02:01.0", 0x020700),
    port("00:02.0", null, PORT_TYPE.ROOT_PORT, 5),
    device("05:00.0", "00:02.0", 0x030200),
  ];
  return buildTopology(
    "server",
    records.map((record) => ({ ...record, ...parts[record.bdf] })),
  ).withFacts({ cpu: XEON, kernelConfig: WITH_P2PDMA, hasNoIommuGroup: true, ...facts });
}

const pair = (topology: Topology, provider: string, client: string) =>
  diagnosePair(topology, rules, topology.require(provider), topology.require(client));
const findingsOf = (topology: Topology): readonly Finding[] =>
  diagnoseMachine(topology, rules).findings;
const finding = (topology: Topology, code: FindingCode): Finding | undefined =>
  findingsOf(topology).find((each) => each.code === code);
const codes = (topology: Topology): FindingCode[] => findingsOf(topology).map(({ code }) => code);

describe("verdicts that simpler rules get wrong", () => {
  it("an ACS redirect off the path changes nothing and is not mentioned", () => {
    const topology = server({ "00:02.0": { acs: REDIRECT }, "00:01.0": { acs: REDIRECT } });

    expect(pair(topology, "03:00.0", "04:00.0").verdict.type).toBe("bus-addr");
    expect(pair(topology, "03:00.0", "05:00.0").redirecting).toEqual([]);
    expect(codes(topology)).toEqual([]);
  });

  it("source validation alone is no redirect: ACS is on and nothing is wrong", () => {
    const topology = server({
      "02:00.0": { acs: VALIDATION_ONLY },
      "02:01.0": { acs: VALIDATION_ONLY },
    });

    expect(pair(topology, "03:00.0", "04:00.0").verdict.type).toBe("bus-addr");
    expect(codes(topology)).toEqual([]);
  });

  it.each([
    ["completion redirect", 0x08],
    ["egress control", 0x20],
  ])("%s alone redirects, with request redirect clear", (_name, control) => {
    const topology = server({ "02:00.0": { acs: { capability: 0x7f, control } } });

    expect(pair(topology, "03:00.0", "04:00.0").verdict.type).toBe("host-bridge");
    expect(finding(topology, "REDIRECT_DETOUR")?.at).toEqual(["0000:02:00.0"]);
  });

  it("ACS that could not be read is never fine", () => {
    const { acs, ...unread } = server().record(server().require("02:00.0"));
    const records = server()
      .records()
      .map((record) => (record.bdf === unread.bdf ? unread : record));
    const topology = buildTopology("read without root", records).withFacts({ cpu: XEON });

    expect(pair(topology, "03:00.0", "04:00.0").possible).toBe("unknown");
    expect(findingsOf(topology)[0]).toMatchObject({
      code: "FACTS_MISSING",
      severity: "open",
      at: ["0000:02:00.0"],
    });
    expect(findingsOf(topology)[0]?.fixes[0]?.steps[0]?.lines[0]).toContain("sudo lspci -Dvvv");
  });

  it("two functions of the same bus number in two domains are far from each other", () => {
    const records = [
      ...server().records(),
      ...server()
        .records()
        .map((record) => ({
          ...record,
          bdf: record.bdf.replace("0000:", "10000:"),
          parent: record.parent?.replace("0000:", "10000:") ?? null,
          rootBus: "10000:00",
        })),
    ];
    const topology = buildTopology("two domains", records).withFacts({ cpu: XEON });

    expect(pair(topology, "03:00.0", "04:00.0").verdict.type).toBe("bus-addr");
    expect(pair(topology, "03:00.0", "10000:04:00.0").verdict.reasons[0]?.code).toBe(
      "NO_COMMON_BRIDGE",
    );
  });

  it("a shared ancestor does not help past a redirect when the host bridge is not listed", () => {
    const topology = server(
      { "02:00.0": { acs: REDIRECT }, "00:00.0": { device: 0x4c43 } },
      { cpu: CORE },
    );

    expect(pair(topology, "03:00.0", "04:00.0").verdict.type).toBe("unsupported");
    const found = finding(topology, "REDIRECT_REFUSED");
    expect(found).toMatchObject({ severity: "blocks", at: ["0000:02:00.0"], pairCount: 1 });
    expect(found?.fixes[0]?.effect).toMatchObject({ improvedCount: 1, worsenedCount: 0 });
  });
});

describe("cases from the field", () => {
  it("names the exact ports that redirect, with the line to type and how long it lasts", () => {
    const topology = server({ "02:00.0": { acs: REDIRECT }, "02:01.0": { acs: VALIDATION_ONLY } });
    const [fix] = finding(topology, "REDIRECT_DETOUR")?.fixes ?? [];
    const now = fix?.steps.find(({ by }) => by === "shell");

    expect(now).toMatchObject({
      lines: ["setpci -s 0000:02:00.0 ECAP_ACS+6.w=0:2c"],
      lasts: "until-reboot",
    });
  });

  it("tells a redirect that leads into a translating IOMMU from one that does not", () => {
    const grouped = {
      "02:00.0": { acs: REDIRECT },
      "03:00.0": { iommuGroup: 1 },
      "04:00.0": { iommuGroup: 2 },
    };
    const withType = (type: string) =>
      server(grouped, {
        cpu: EPYC,
        iommuGroupTypes: new Map([
          [1, type],
          [2, type],
        ]),
      });

    const translated = pair(withType("DMA-FQ"), "03:00.0", "04:00.0");
    expect([translated.translation.isMet, translated.advised.answer]).toEqual(["yes", "unknown"]);
    expect(pair(withType("identity"), "03:00.0", "04:00.0").advised.answer).toBe("yes");
    expect(finding(withType("DMA-FQ"), "REDIRECT_TRANSLATED")?.at).toEqual(["0000:02:00.0"]);
    expect(finding(withType("identity"), "REDIRECT_DETOUR")?.at).toEqual(["0000:02:00.0"]);
    expect(codes(withType("identity"))).not.toContain("IOMMU_TRANSLATES");
  });

  it("offers pass-through where the IOMMU translates on the way, and promises nothing", () => {
    const topology = server(
      { "03:00.0": { iommuGroup: 1 }, "05:00.0": { iommuGroup: 1 } },
      { iommuGroupTypes: new Map([[1, "DMA"]]) },
    );
    const [fix] = finding(topology, "IOMMU_TRANSLATES")?.fixes ?? [];

    expect(fix).toMatchObject({ kind: "pass-through", isPromised: false });
    expect(fix?.steps.at(-1)?.lines[0]).toBe("iommu=pt");
  });

  it("calls an unlisted host bridge a real limit that must not be forced", () => {
    const topology = server({ "00:00.0": { device: 0x4c43 } }, { cpu: CORE });
    const found = finding(topology, "ROOT_COMPLEX_REFUSED");

    expect(found?.text).toContain("8086:4c43");
    expect(found?.text).toContain("do not force it");
    expect(found?.fixes.map(({ kind }) => kind)).toContain("move");
    expect(finding(topology, "WRITES_ONLY")?.source).toContain("compute-runtime#935");
  });

  it("answers reads and writes apart where a client root complex carries writes only", () => {
    const topology = server({ "00:00.0": { device: 0x4610 } }, { cpu: CORE });
    const { reads, writes } = pair(topology, "03:00.0", "05:00.0");

    expect([reads.verdict, reads.hardware]).toEqual(["unsupported", "no"]);
    expect([writes.verdict, writes.hardware]).toEqual(["unsupported", "yes"]);
    const below = pair(topology, "03:00.0", "04:00.0");
    expect([below.reads.hardware, below.writes.hardware]).toEqual(["yes", "yes"]);
  });

  it("does not take a host bridge that routes within itself for one that routes to another", async () => {
    const topology = await readCapture(captureFolder("server-01"));
    const across = pair(topology, "13:00.0", "3b:00.0");

    expect([across.reads.verdict, across.reads.hardware]).toEqual(["unsupported", "unknown"]);
    expect(across.reads.text).toContain("within itself only");
  });

  const withBar = (
    size: number,
    sizesSupported: readonly number[] | undefined,
    room = 64 * GIB,
  ) => {
    const window = { kind: "prefetchable", start: 0x10_0000_0000, size: room } as const;
    return server({
      "00:02.0": { windows: [window] },
      "05:00.0": {
        bars: [
          { index: 1, start: 0x10_0000_0000, size, kind: "memory", wide: true, prefetchable: true },
        ],
        ...(sizesSupported !== undefined && {
          resizableBars: [{ index: 1, size, sizesSupported }],
        }),
      },
    });
  };

  it.each([
    ["the card's firmware", "card-firmware", withBar(256 * MIB, [64 * MIB, 256 * MIB])],
    ["the board's firmware", "system-firmware", withBar(256 * MIB, [256 * MIB, 32 * GIB])],
    [
      "the windows of the bridges above",
      "bridge-windows",
      withBar(256 * MIB, [256 * MIB, 32 * GIB], GIB),
    ],
    ["nobody knows who", "unknown", withBar(256 * MIB, undefined)],
  ])("finds a small BAR, limited by %s", (_who, limit, topology) => {
    expect(pair(topology, "05:00.0", "04:00.0").reach?.limit).toBe(limit);
    expect(finding(topology, "BAR_SMALL")).toMatchObject({
      at: ["0000:05:00.0"],
      fixes: [{ kind: "firmware", isPromised: false }],
    });
  });

  it("finds nothing wrong with a BAR as large as the card can make it", () => {
    expect(codes(withBar(32 * GIB, [256 * MIB, 32 * GIB]))).not.toContain("BAR_SMALL");
  });

  const linked = (width: number, speedMtps: number, bdf = "04:00.0") => {
    const full = { speedMtps: 16_000, width: 16, speedMaxMtps: 16_000, widthMax: 16 };
    return server({
      "02:01.0": { link: full },
      "02:00.0": { link: full },
      [bdf]: { link: { ...full, width, speedMtps } },
    });
  };

  it("reports missing lanes, and a slow link of a device that does not idle", () => {
    expect(finding(linked(4, 16_000), "LINK_NARROW")).toMatchObject({
      severity: "slows",
      at: ["0000:04:00.0"],
    });
    expect(finding(linked(16, 8000), "LINK_SLOW")).toMatchObject({
      severity: "slows",
      at: ["0000:04:00.0"],
    });
  });

  it("only notes the low speed of an idle GPU", () => {
    expect(finding(linked(16, 2500, "03:00.0"), "LINK_SLOW")?.severity).toBe("note");
  });

  it("does not blame a wide card in a narrow slot", () => {
    const narrowSlot = { speedMtps: 16_000, width: 8, speedMaxMtps: 16_000, widthMax: 8 };
    const topology = server({
      "02:01.0": { link: narrowSlot },
      "04:00.0": { link: { ...narrowSlot, widthMax: 16 } },
    });

    expect(codes(topology)).toEqual([]);
  });

  it("says that the kernel has no P2PDMA, before anything else", () => {
    const off = server({}, { kernelConfig: new Map([["CONFIG_PCI_P2PDMA", "n"]]) });

    expect(findingsOf(off)[0]).toMatchObject({ code: "P2PDMA_NOT_COMPILED", severity: "blocks" });
    expect(pair(off, "03:00.0", "04:00.0")).toMatchObject({
      verdict: { type: "bus-addr" },
      possible: "no",
      advised: { answer: "no" },
    });
    expect(codes(server())).toEqual([]);
  });

  it("does not know whether the kernel has P2PDMA where its configuration does not say so", () => {
    const silent = server({}, { kernelConfig: new Map([["CONFIG_IOMMU_API", "y"]]) });

    expect(finding(silent, "P2PDMA_NOT_KNOWN")).toMatchObject({
      severity: "note",
      fixes: [{ steps: [{ lines: ["grep P2P /boot/config-$(uname -r)"] }] }],
    });
    expect(codes(silent)).not.toContain("P2PDMA_NOT_COMPILED");
  });

  it.each([
    ["y", false],
    ["n", true],
    [undefined, false],
  ])(
    "says that amdgpu has no P2P of its own only where its option is off (%s)",
    (setting, isOff) => {
      const option: [string, string][] =
        setting === undefined ? [] : [["CONFIG_HSA_AMD_P2P", setting]];
      const topology = server(
        { "03:00.0": { driver: "amdgpu" } },
        { kernelConfig: new Map([...WITH_P2PDMA, ...option]) },
      );

      expect(codes(topology).includes("DRIVER_OPTION_OFF")).toBe(isOff);
    },
  );

  it("says of a guest that the host's topology is unknown", () => {
    const guest = server({}, { isVirtualMachine: true });

    expect(finding(guest, "VIRTUAL_MACHINE")?.severity).toBe("open");
    expect(pair(guest, "03:00.0", "04:00.0").advised.answer).toBe("unknown");
  });

  it("does not know whether an IOMMU translates where nothing shows that there is none", () => {
    const silent = server({}, { hasNoIommuGroup: false });

    expect(finding(silent, "IOMMU_NOT_KNOWN")?.severity).toBe("note");
    expect(pair(silent, "03:00.0", "05:00.0").translation.isMet).toBe("unknown");
    expect(pair(server(), "03:00.0", "05:00.0").translation.isMet).toBe("no");
    expect(codes(server())).toEqual([]);
  });

  it("calls the way between sockets possible and not advised", () => {
    const topology = server({ "03:00.0": { numaNode: 0 }, "05:00.0": { numaNode: 1 } });
    const { possible, advised, crossesSockets } = pair(topology, "03:00.0", "05:00.0");

    expect([possible, advised.answer, crossesSockets]).toEqual(["yes", "no", "yes"]);
    expect(finding(topology, "SOCKETS_CROSSED")?.pairCount).toBe(2);
  });

  it("does not take two NUMA nodes of one processor for two sockets", () => {
    const node = (id: number, socket: number) => ({ id, socket, distances: [], cpuList: "" });
    const topology = server(
      { "03:00.0": { numaNode: 0 }, "05:00.0": { numaNode: 1 } },
      { numaNodes: [node(0, 0), node(1, 0)] },
    );

    expect(pair(topology, "03:00.0", "05:00.0")).toMatchObject({
      crossesSockets: "no",
      pathClass: "PHB",
    });
    expect(codes(topology)).toEqual([]);
  });

  it("finds a boot parameter written with commas", () => {
    const topology = server({}, { commandLine: "ro pci=disable_acs_redir=02:00.0,02:01.0" });

    expect(finding(topology, "PARAMETER_IGNORED")).toMatchObject({
      severity: "slows",
      fixes: [{ kind: "correct-parameter" }],
    });
  });

  it("shows every gate that is shut in one go", () => {
    const topology = server(
      { "00:00.0": { device: 0x6f00 }, ...{ "02:00.0": { acs: REDIRECT } } },
      {
        kernelConfig: new Map([["CONFIG_PCI_P2PDMA", "n"]]),
        commandLine: "pci=disable_acs_redir=02:00.0,02:01.0",
      },
    );

    expect(codes(topology)).toEqual(
      expect.arrayContaining([
        "P2PDMA_NOT_COMPILED",
        "ROOT_COMPLEX_REFUSED",
        "REDIRECT_REFUSED",
        "PARAMETER_IGNORED",
      ]),
    );
  });
});

describe("path class", () => {
  const classOf = (topology: Topology, one: string, other: string) =>
    pathClassOf(topology, topology.require(one), topology.require(other));

  it("is PIX below one switch, PHB between root ports of one root complex", () => {
    expect(classOf(server(), "03:00.0", "04:00.0")).toBe("PIX");
    expect(classOf(server(), "03:00.0", "05:00.0")).toBe("PHB");
    expect(classOf(server(), "03:00.0", "03:00.0")).toBe("X");
  });

  it("is PXB through two switches", async () => {
    const topology = await readCapture(captureFolder("nested-08"));
    const nested = [...topology.endpoints].flatMap((one) =>
      [...topology.endpoints].map((other) => pathClassOf(topology, one, other)),
    );

    expect(nested).toContain("PXB");
  });

  it.each([
    [0, 0, "NODE"],
    [0, 1, "SYS"],
    [-1, 1, undefined],
  ])("between host bridges of nodes %i and %i it is %s", (near, far, expected) => {
    const topology = buildTopology("two host bridges", [
      { bdf: "00:02.0", parent: null, numaNode: near },
      { bdf: "80:02.0", parent: null, numaNode: far },
    ]);

    expect(classOf(topology, "00:02.0", "80:02.0")).toBe(expected);
  });
});

describe.each(CAPTURES)("captured machine %s", (name) => {
  it("is counted as the real kernel judges it", async () => {
    const topology = await readCapture(captureFolder(name));
    const { counts, pairCount } = diagnoseMachine(topology, rules, { between: topology.endpoints });
    const accelerators = new Set(
      [...topology.endpoints]
        .filter((row) =>
          [0x03, 0x0b, 0x12].includes((topology.table.classCode[row] as number) >> 16),
        )
        .map((row) => topology.bdfOf(row)),
    );
    const asked = kernelVerdicts(name).filter(
      ({ provider, client }) =>
        provider !== client && (accelerators.size === 0 || accelerators.has(provider)),
    );

    expect(pairCount).toBe(asked.length);
    for (const type of ["bus-addr", "host-bridge", "unsupported"] as const) {
      expect([type, counts[type]]).toEqual([
        type,
        asked.filter((each) => each.type === type).length,
      ]);
    }
  });

  it("gets a diagnosis of every pair that agrees with itself", async () => {
    const topology = await readCapture(captureFolder(name));
    for (const provider of topology.endpoints) {
      for (const client of [...topology.endpoints].slice(0, 3)) {
        const { verdict, possible, redirecting, translation, reads, writes } = diagnosePair(
          topology,
          rules,
          provider,
          client,
          { between: [] },
        );
        expect(possible === "yes").toBe(
          verdict.type === "bus-addr" || verdict.type === "host-bridge",
        );
        expect(redirecting).toEqual(
          verdict.reasons.filter(({ code }) => code === "ACS_REDIRECT").map(({ at }) => at),
        );
        expect([reads.verdict, writes.verdict]).toEqual([verdict.reads, verdict.writes]);
        expect(verdict.type === "bus-addr" && translation.isMet !== "no").toBe(false);
      }
    }
  });
});
