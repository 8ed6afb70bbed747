/** Explanations: the way hop by hop, the reasons, and what could change the verdict. */
import { InputError } from "@peerbuf/core";
import {
  buildTopology,
  createJudge,
  explainPair,
  type FunctionRecord,
  factsNamed,
  judgePair,
  KERNEL_VERSIONS,
  type MachineFacts,
  PORT_TYPE,
  PORT_TYPE_NONE,
  PORT_TYPE_UNKNOWN,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const rules = rulesForKernel();
const INTEL: MachineFacts = { ...factsNamed("lab"), cpu: { vendor: "GenuineIntel", family: 6 } };
const acs = (control: number) => ({ capability: 0x5f, control });

/** Host 0000:00 with a switch: GPU at 03, NIC at 04; and a drive at 05 below its own root port. */
function server(hostDevice: number, gpuPortControl: number, facts: MachineFacts = INTEL): Topology {
  const port = (bdf: string, portType: number, secondaryBus: number, subordinateBus: number) => ({
    bdf,
    portType,
    secondaryBus,
    subordinateBus,
    acs: "absent" as const,
  });
  const end = (bdf: string): FunctionRecord => ({
    bdf,
    portType: PORT_TYPE.ENDPOINT,
    acs: "absent",
  });
  return buildTopology(facts, [
    { bdf: "00:00.0", parent: null, vendor: 0x8086, device: hostDevice, acs: "absent" },
    { ...port("00:01.0", PORT_TYPE.ROOT_PORT, 1, 4), parent: null },
    { ...port("00:02.0", PORT_TYPE.ROOT_PORT, 5, 5), parent: null },
    port("01:00.0", PORT_TYPE.SWITCH_UPSTREAM, 2, 4),
    { ...port("02:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, 3, 3), acs: acs(gpuPortControl) },
    port("02:01.0", PORT_TYPE.SWITCH_DOWNSTREAM, 4, 4),
    end("03:00.0"),
    end("04:00.0"),
    end("05:00.0"),
  ]);
}

const explain = (machine: Topology, provider: string, client: string) =>
  explainPair(machine, rules, machine.require(provider), machine.require(client));

describe("an explanation", () => {
  it("shows the way below a switch, hop by hop", () => {
    const { verdict, hops, rootBuses, remedies } = explain(server(0x4c43, 0), "03:00.0", "04:00.0");

    expect(verdict).toMatchObject({ type: "bus-addr", distance: 4 });
    expect(hops.map(({ bdf, role }) => `${bdf} ${role}`)).toEqual([
      "0000:03:00.0 provider",
      "0000:02:00.0 bridge",
      "0000:01:00.0 common",
      "0000:02:01.0 bridge",
      "0000:04:00.0 client",
    ]);
    expect([rootBuses, remedies]).toEqual([[], []]);
  });

  it("names the port that redirects with its bits, and what clearing them gives", () => {
    const { verdict, hops, remedies } = explain(server(0x4c43, 0x1d), "03:00.0", "04:00.0");

    expect(verdict).toMatchObject({ type: "unsupported", distance: 4 });
    expect(verdict.reasons).toContainEqual({
      code: "ACS_REDIRECT",
      at: "0000:02:00.0",
      text: "0000:02:00.0 redirects peer traffic to the root complex: RR and CR set (ACS control 0x001d).",
    });
    expect(hops[1]).toMatchObject({ acs: { control: ["SV", "RR", "CR", "UF"] }, redirects: "yes" });
    expect(remedies[0]).toMatchObject({
      kind: "clear-acs",
      changes: [{ at: "0000:02:00.0", controlBefore: 0x1d, controlAfter: 0x11 }],
      result: { type: "bus-addr", distance: 4 },
    });
    expect(remedies[0]?.text).toContain("pci=disable_acs_redir=0000:02:00.0");
  });

  it("says that a host bridge the kernel does not list is a limit, and what to move", () => {
    const { verdict, rootBuses, remedies } = explain(server(0x4c43, 0), "03:00.0", "05:00.0");

    expect(verdict.reasons.map(({ code }) => code)).toEqual([
      "NO_COMMON_BRIDGE",
      "CPU_NOT_ACCEPTED",
      "HOST_BRIDGE_NOT_LISTED",
    ]);
    expect(rootBuses).toEqual(["0000:00"]);
    expect(remedies.map(({ kind }) => kind)).toEqual(["move", "limit"]);
  });

  it("says which facts to capture where the answer hangs on them", () => {
    const { verdict, remedies } = explain(
      server(0x4c43, 0, factsNamed("no cpu")),
      "03:00.0",
      "05:00.0",
    );

    expect(verdict.type).toBe("unknown");
    expect(remedies[0]).toMatchObject({ kind: "capture" });
    expect(remedies[0]?.text).toContain("/proc/cpuinfo");
  });

  it("stays with the host bridge where it is listed, and still offers the shorter way", () => {
    const { verdict, remedies } = explain(server(0x09a2, 0x1d), "03:00.0", "04:00.0");

    expect(verdict.type).toBe("host-bridge");
    expect(remedies.map(({ kind, result }) => [kind, result?.type])).toEqual([
      ["clear-acs", "bus-addr"],
    ]);
  });
});

describe("a host bridge's name", () => {
  const typeOf = (...records: FunctionRecord[]) => {
    const machine = buildTopology(INTEL, [...records, { bdf: "00:1f.0", parent: null }]);
    const { type, reasons } = judgePair(machine, rules, 0, machine.require("00:1f.0"));
    return [type, reasons.at(-1)?.code];
  };
  const id = { parent: null, vendor: 0x8086, device: 0x09a2 };

  it("comes from 00.0, whatever that is", () => {
    expect(typeOf({ ...id, bdf: "00:00.0" })).toEqual(["host-bridge", "HOST_BRIDGE_LISTED"]);
  });

  it("comes from another first function only when that is a root port", () => {
    const bdf = "00:01.0";
    const kinds = [PORT_TYPE.ROOT_PORT, PORT_TYPE.ENDPOINT, PORT_TYPE_NONE, PORT_TYPE_UNKNOWN];

    expect(kinds.map((portType) => typeOf({ ...id, bdf, portType }))).toEqual([
      ["host-bridge", "HOST_BRIDGE_LISTED"],
      ["unsupported", "HOST_BRIDGE_UNNAMED"],
      ["unsupported", "HOST_BRIDGE_UNNAMED"],
      ["unknown", "HOST_BRIDGE_KIND_UNKNOWN"],
    ]);
  });

  it("is not asked for its kind when no kind would pass", () => {
    const first = { parent: null, bdf: "00:01.0", vendor: 0x8086, device: 0x4c43 };

    expect(typeOf(first)).toEqual(["unsupported", "HOST_BRIDGE_NOT_LISTED"]);
  });

  it("is unknown without its ids", () => {
    expect(typeOf({ bdf: "00:00.0", parent: null })).toEqual(["unknown", "HOST_BRIDGE_ID_UNKNOWN"]);
  });
});

describe("the judge", () => {
  const judge = createJudge(server(0x4c43, 0), rules);

  it("is named after its rules and gives one verdict for one pair", () => {
    expect(judge.name).toBe("linux-6.12");
    expect(judge.judge("03:00.0", "0000:04:00.0")).toBe(judge.judge("0000:03:00.0", "04:00.0"));
  });

  it("refuses what is no PCI function, as the kernel's mapping does", () => {
    expect(judge.judge("0000:03:00.0", "usb1")).toMatchObject({
      reads: "unsupported",
      writes: "unsupported",
      distance: -1,
      reasons: [{ code: "NOT_A_PCI_FUNCTION", at: "usb1" }],
    });
  });

  it("does not know a function that is not in the capture", () => {
    expect(judge.judge("0000:77:00.0", "0000:03:00.0")).toMatchObject({
      reads: "unknown",
      reasons: [{ code: "FUNCTION_NOT_CAPTURED", at: "0000:77:00.0" }],
    });
  });
});

describe("rules by kernel", () => {
  const oneHost = (vendor: number, device: number): Topology =>
    buildTopology(INTEL, [
      { bdf: "00:00.0", parent: null, vendor, device },
      { bdf: "00:02.0", parent: null },
    ]);
  const typeOn = (kernel: string, vendor: number, device: number) =>
    judgePair(oneHost(vendor, device), rulesForKernel(kernel), 0, 1).type;

  it.each(["6.12", "6.12.117", "linux-6.12", "6.12.0-amd64", "v6.12"])(
    "finds 6.12 as %s",
    (kernel) => {
      expect(rulesForKernel(kernel).version).toBe("6.12");
    },
  );

  it.each(["5.17", "6.120", "7.3", "5", "", "latest"])(
    "refuses %s and lists what is known",
    (kernel) => {
      expect(() => rulesForKernel(kernel)).toThrow(InputError);
      expect(() => rulesForKernel(kernel)).toThrow(`Known: ${KERNEL_VERSIONS.join(", ")}`);
    },
  );

  it.each(["5.18", "6.1", "6.8", "6.11"])(
    "knows %s by the table of 6.12, which did not change since 5.18",
    (kernel) => {
      const { name, version, ...rest } = rulesForKernel(kernel);
      const { name: _name, version: _version, ...known } = rulesForKernel("6.12");

      expect([name, version]).toEqual([`linux-${kernel}`, kernel]);
      expect(rest).toEqual(known);
    },
  );

  it("between two known kernels answers unknown only where they differ", () => {
    expect([
      typeOn("6.18", 0x8086, 0x0b25),
      typeOn("6.18", 0x8086, 0x09a2),
      typeOn("6.18", 0x8086, 0x4c43),
    ]).toEqual(["unknown", "host-bridge", "unsupported"]);
  });

  it("accepts later host bridges only in later kernels", () => {
    expect([typeOn("6.12", 0x8086, 0x0b25), typeOn("7.2", 0x8086, 0x0b25)]).toEqual([
      "unsupported",
      "host-bridge",
    ]);
    expect([typeOn("6.12", 0x1ae0, 0x1234), typeOn("7.2", 0x1ae0, 0x1234)]).toEqual([
      "unsupported",
      "host-bridge",
    ]);
  });

  it("does not know about rows whose first release nobody verified", () => {
    expect([typeOn("6.12", 0x10de, 0x2f95), typeOn("7.2", 0x10de, 0x2f95)]).toEqual([
      "unsupported",
      "unknown",
    ]);
  });

  it("takes the SAME flag to mean one host bridge only", () => {
    const two = buildTopology(INTEL, [
      { bdf: "00:00.0", parent: null, vendor: 0x8086, device: 0x2f01 },
      { bdf: "00:02.0", parent: null },
      { bdf: "80:00.0", parent: null, vendor: 0x8086, device: 0x09a2 },
    ]);

    expect(judgePair(two, rules, 0, 1).type).toBe("host-bridge");
    const across = judgePair(two, rules, 1, 2);
    expect(across.type).toBe("unsupported");
    expect(across.reasons.map(({ code, at }) => [code, at])).toContainEqual([
      "HOST_BRIDGE_SAME_ONLY",
      "0000:00:00.0",
    ]);
  });
});
