/**
 * Moves and kernels: fixes that change the machine or the rules instead of a register.
 */
import {
  buildTopology,
  compareKernels,
  diagnoseMachine,
  diagnosePair,
  type FunctionRecord,
  judgePair,
  movedTopology,
  PORT_TYPE,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const GPU = 0x030200;
const NIC = 0x020000;
const rules = rulesForKernel("6.12");

/** A switch with a GPU and a free slot, and a NIC on a root port of its own; the host bridge has this id. */
function machine(hostBridge: number, slot: Partial<FunctionRecord> = {}): Topology {
  const bridge = (
    bdf: string,
    parent: string | null,
    portType: number,
    bus: number,
    last = bus,
  ) => ({
    bdf,
    parent,
    portType,
    headerType: 1,
    secondaryBus: bus,
    subordinateBus: last,
    acs: "absent" as const,
  });
  const endpoint = (bdf: string, parent: string, classCode: number) => ({
    bdf,
    parent,
    classCode,
    portType: PORT_TYPE.ENDPOINT,
    acs: "absent" as const,
  });
  return buildTopology("free slot", [
    { bdf: "00:00.0", parent: null, vendor: 0x8086, device: hostBridge, acs: "absent" },
    bridge("00:01.0", null, PORT_TYPE.ROOT_PORT, 1, 4),
    bridge("01:00.0", "00:01.0", PORT_TYPE.SWITCH_UPSTREAM, 2, 4),
    bridge("02:00.0", "01:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, 3),
    { ...bridge("02:01.0", "01:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, 4), ...slot },
    endpoint("03:00.0", "02:00.0", GPU),
    bridge("00:02.0", null, PORT_TYPE.ROOT_PORT, 5),
    endpoint("05:00.0", "00:02.0", NIC),
    endpoint("05:00.1", "00:02.0", NIC),
  ]).withFacts({ cpu: { vendor: "GenuineIntel", family: 6 } });
}

describe("moving a card", () => {
  const topology = machine(0x4c43);
  const { findings } = diagnoseMachine(topology, rules);
  const [fix] = findings.find(({ code }) => code === "ROOT_COMPLEX_REFUSED")?.fixes ?? [];

  it("finds the free slot below the switch of the peer, for all functions of the card", () => {
    expect(fix?.moves).toEqual([
      {
        port: "0000:02:01.0",
        functions: [
          { from: "0000:05:00.0", to: "0000:04:00.0" },
          { from: "0000:05:00.1", to: "0000:04:00.1" },
        ],
      },
    ]);
  });

  it("promises what the rules say of the machine with the card there", () => {
    expect(fix?.effect).toMatchObject({ improvedCount: 2, worsenedCount: 0 });
    const moved = movedTopology(topology, fix?.moves ?? []);
    const rows = [moved.require("03:00.0"), moved.require("04:00.1")] as const;
    expect(judgePair(moved, rules, ...rows).type).toBe("bus-addr");
  });

  it("does not offer a slot whose port redirects to the same refusal", () => {
    const redirecting = machine(0x4c43, { acs: { capability: 0x5f, control: 0x1d } });
    const fixes = diagnoseMachine(redirecting, rules).findings.flatMap((found) => found.fixes);

    expect(fixes.filter(({ isPromised }) => isPromised)).toEqual([]);
  });
});

describe("a device on a root bus", () => {
  it("is in no slot, so nobody is told to put it below a switch", () => {
    const records = machine(0x4c43).records();
    const topology = buildTopology("desktop", [
      ...records.filter(({ bdf }) => bdf === "0000:00:00.0"),
      ...["00:02.0", "00:03.0"].map((bdf) => ({
        bdf,
        parent: null,
        rootBus: "0000:00",
        classCode: GPU,
        portType: PORT_TYPE.ROOT_COMPLEX_ENDPOINT,
        acs: "absent" as const,
      })),
    ]).withFacts({ cpu: { vendor: "GenuineIntel", family: 6 } });
    const rows = ["00:02.0", "00:03.0"].map((bdf) => topology.require(bdf)) as [number, number];

    const fixes = [
      ...diagnosePair(topology, rules, ...rows).fixes,
      ...diagnoseMachine(topology, rules).findings.flatMap((finding) => finding.fixes),
    ];

    expect(judgePair(topology, rules, ...rows).type).toBe("unsupported");
    expect(fixes.filter(({ kind }) => kind === "move")).toEqual([]);
  });
});

describe("another kernel", () => {
  const topology = machine(0x0b25);

  it.each(["5.19", "6.1", "6.5", "6.12"])(
    "is a fix where its table of host bridges has a row that %s lacks",
    (own) => {
      const { fixes } = diagnosePair(
        topology,
        rulesForKernel(own),
        topology.require("03:00.0"),
        topology.require("05:00.0"),
      );
      const fix = fixes.find(({ kind }) => kind === "kernel");

      expect(fix?.text).toContain("Linux 7.2");
      expect(fix?.effect?.changes[0]).toEqual({
        provider: "0000:03:00.0",
        client: "0000:05:00.0",
        before: "unsupported",
        after: "host-bridge",
      });
    },
  );

  it("is compared pair by pair", () => {
    const compare = (from: string, to: string) =>
      compareKernels(topology, rulesForKernel(from), rulesForKernel(to));

    expect(compare("6.12", "7.2")).toMatchObject({ changedCount: 2, improvedCount: 2 });
    expect(compare("6.1", "6.12").changedCount).toBe(0);
    expect(compare("6.12", "6.18").after.unknown).toBe(2);
  });
});
