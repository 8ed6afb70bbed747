import { ACS, buildTopology, PORT_TYPE, type Topology } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { BOTH, events, NONE, start, tryBoth, wayBack } from "./route-bench.ts";
import { acs, barStart, bridge, endpoint, MIB, switchTopology } from "./small-machines.ts";

describe("below one switch", () => {
  it("a request turns round at the switch, without the root complex", () => {
    const bench = start(switchTopology(), { rootComplex: "none" });

    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(BOTH);
    expect(events(bench, "0000:03:00.0", barStart(4))).toEqual([
      "0000:03:00.0 issues",
      "0000:02:00.0 up",
      "0000:02:01.0 down",
      "0000:04:00.0 arrives",
    ]);
    expect(bench.machine.inspect.passedBytes("root complex")).toBe(0);
    expect(bench.machine.inspect.passedBytes("0000:02:01.0")).toBe(16);
  });

  it("request redirect of the port where it enters sends it through the root complex", () => {
    const topology = switchTopology({ "0000:02:00.0": acs(ACS.RR) });
    const forwarding = start(topology, { rootComplex: "forwards" });

    expect(tryBoth(forwarding, "0000:03:00.0", barStart(4))).toEqual(BOTH);
    expect(events(forwarding, "0000:03:00.0", barStart(4))).toContain("root complex root-complex");
    const silent = start(topology, { rootComplex: "none" });
    expect(tryBoth(silent, "0000:03:00.0", barStart(4))).toEqual(NONE);
  });

  it("request redirect of the port where it leaves changes nothing", () => {
    const bench = start(switchTopology({ "0000:02:01.0": acs(ACS.RR) }), { rootComplex: "none" });

    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(BOTH);
  });

  it("completion redirect of the port of the target sends completions up, not writes", () => {
    const topology = switchTopology({ "0000:02:01.0": acs(ACS.CR) });

    const silent = start(topology, { rootComplex: "none" });
    expect(tryBoth(silent, "0000:03:00.0", barStart(4))).toEqual({ write: true, read: false });
    expect(silent.machine.inspect.recentFaults()[0]).toMatchObject({
      kind: "read",
      reason: "COMPLETION_DROPPED",
      at: "root complex",
    });
    const forwarding = start(topology, { rootComplex: "same-host-bridge" });
    expect(tryBoth(forwarding, "0000:03:00.0", barStart(4))).toEqual(BOTH);
    expect(wayBack(forwarding, "0000:03:00.0", barStart(4))).toEqual([
      "0000:02:01.0 up",
      "0000:02:01.0 completion-redirected",
      "0000:01:00.0 up",
      "0000:00:01.0 up",
      "root complex root-complex",
      "0000:00:01.0 down",
      "0000:01:00.0 down",
      "0000:02:00.0 down",
      "0000:03:00.0 arrives",
    ]);
  });

  it("completion redirect of the requester's own port changes nothing", () => {
    const bench = start(switchTopology({ "0000:02:00.0": acs(ACS.CR) }), { rootComplex: "none" });

    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(BOTH);
  });

  it.each([
    {
      control: ACS.EC,
      vector: 0b000,
      to4: BOTH,
      why: "egress control with a clear vector blocks nobody",
    },
    {
      control: ACS.EC,
      vector: 0b010,
      to4: NONE,
      why: "egress control blocks the ports in its vector",
    },
    {
      control: ACS.EC | ACS.RR,
      vector: 0b000,
      to4: BOTH,
      why: "with redirect, a clear vector bit lets through",
    },
    {
      control: ACS.EC | ACS.RR,
      vector: 0b010,
      to4: NONE,
      why: "with redirect, a set bit sends it up",
    },
  ])("$why", ({ control, vector, to4 }) => {
    const topology = switchTopology({ "0000:02:00.0": acs(control, Uint8Array.of(vector)) });
    const bench = start(topology, { rootComplex: "none" });

    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(to4);
    expect(tryBoth(bench, "0000:03:00.0", barStart(5))).toEqual(BOTH);
  });

  it("a blocked request is lost at the port, even if the root complex would forward it", () => {
    const topology = switchTopology({ "0000:02:00.0": acs(ACS.EC, Uint8Array.of(0b010)) });
    const bench = start(topology, { rootComplex: "forwards" });

    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(NONE);
    expect(bench.machine.inspect.recentFaults()[0]).toMatchObject({
      reason: "ACS_BLOCKED",
      at: "0000:02:00.0",
    });
  });

  it("bits changed at run time count from the next request on", () => {
    const bench = start(switchTopology({ "0000:02:00.0": acs(0) }), { rootComplex: "none" });
    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(BOTH);

    bench.machine.setAcsControl("0000:02:00.0", ACS.RR);
    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(NONE);

    bench.machine.setAcsControl("0000:02:00.0", 0);
    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(BOTH);
    expect(() => bench.machine.setAcsControl("0000:02:01.0", ACS.RR)).toThrow(/no ACS/);
  });

  it("a BAR outside of its bridge's window is unreachable, for devices and processors", () => {
    const far = 0xf000_0000;
    const bars = [
      { index: 0, start: far, size: MIB, kind: "memory", wide: false, prefetchable: false },
    ] as const;
    const bench = start(switchTopology({ "0000:04:00.0": { bars } }));

    expect(tryBoth(bench, "0000:03:00.0", far)).toEqual(NONE);
    expect(bench.machine.inspect.trace("cpu", far, "read").loss).toBe("UNCLAIMED");
    expect(bench.machine.inspect.unreachableBars()).toEqual([
      {
        bdf: "0000:04:00.0",
        bar: 0,
        start: far,
        sizeBytes: MIB,
        firstLost: far,
        at: "root complex",
      },
    ]);
  });

  it("an address in the switch's window that nobody below claims is lost in the switch", () => {
    const bench = start(switchTopology());
    const hole = barStart(4) + 2 * MIB;

    expect(bench.machine.inspect.trace("0000:03:00.0", hole, "read").hops.at(-1)).toEqual({
      at: "0000:02:01.0",
      event: "unclaimed",
    });
  });
});

describe("a switch below a switch", () => {
  /** Endpoints 05 and 06 below the inner switch, 07 below the outer one. */
  const nested = (change: Parameters<typeof switchTopology>[0] = {}): Topology =>
    buildTopology(
      "nested",
      [
        bridge("0000:00:01.0", PORT_TYPE.ROOT_PORT, [1, 7]),
        bridge("0000:01:00.0", PORT_TYPE.SWITCH_UPSTREAM, [2, 7]),
        bridge("0000:02:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, [3, 6]),
        bridge("0000:03:00.0", PORT_TYPE.SWITCH_UPSTREAM, [4, 6]),
        bridge("0000:04:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, [5, 5]),
        bridge("0000:04:01.0", PORT_TYPE.SWITCH_DOWNSTREAM, [6, 6]),
        bridge("0000:02:01.0", PORT_TYPE.SWITCH_DOWNSTREAM, [7, 7]),
        endpoint("0000:05:00.0"),
        endpoint("0000:06:00.0"),
        endpoint("0000:07:00.0"),
      ].map((record) => ({ ...record, ...change[record.bdf] })),
    );

  it("turns round at the lowest switch that leads to the target", () => {
    const bench = start(nested(), { rootComplex: "none" });

    expect(tryBoth(bench, "0000:05:00.0", barStart(6))).toEqual(BOTH);
    expect(events(bench, "0000:05:00.0", barStart(6))).not.toContain("0000:02:00.0 up");
    expect(tryBoth(bench, "0000:05:00.0", barStart(7))).toEqual(BOTH);
    expect(events(bench, "0000:05:00.0", barStart(7))).not.toContain("0000:00:01.0 up");
  });

  it("a request redirected in the inner switch passes the outer one on its way up", () => {
    const topology = nested({ "0000:04:00.0": acs(ACS.RR) });

    const forwarding = start(topology, { rootComplex: "same-host-bridge" });
    expect(tryBoth(forwarding, "0000:05:00.0", barStart(6))).toEqual(BOTH);
    const silent = start(topology, { rootComplex: "none" });
    expect(tryBoth(silent, "0000:05:00.0", barStart(6))).toEqual(NONE);
  });

  it("request redirect of the inner port does not concern targets outside of the inner switch", () => {
    const bench = start(nested({ "0000:04:00.0": acs(ACS.RR) }), { rootComplex: "none" });

    expect(tryBoth(bench, "0000:05:00.0", barStart(7))).toEqual(BOTH);
  });
});

describe("functions of one device", () => {
  const device = (control?: number): Topology =>
    buildTopology("multi-function", [
      bridge("0000:00:01.0", PORT_TYPE.ROOT_PORT, [1, 1]),
      endpoint("0000:01:00.0", control === undefined ? {} : acs(control)),
      endpoint("0000:01:00.1"),
      endpoint("0000:01:00.4", { physicalFunction: "0000:01:00.0" }),
    ]);

  it("reach each other, themselves and their virtual functions without leaving the device", () => {
    const bench = start(device(), { rootComplex: "none" });

    for (const fn of [0, 1, 4]) {
      expect(tryBoth(bench, "0000:01:00.0", barStart(1, fn))).toEqual(BOTH);
      expect(tryBoth(bench, "0000:01:00.4", barStart(1, fn))).toEqual(BOTH);
    }
    expect(bench.machine.inspect.passedBytes("0000:00:01.0")).toBe(0);
  });

  it("go up when the function's own request redirect says so, even for its own BAR", () => {
    const silent = start(device(ACS.RR), { rootComplex: "none" });
    const forwarding = start(device(ACS.RR), { rootComplex: "forwards" });

    for (const fn of [0, 1]) {
      expect(tryBoth(silent, "0000:01:00.0", barStart(1, fn))).toEqual(NONE);
      expect(tryBoth(forwarding, "0000:01:00.0", barStart(1, fn))).toEqual(BOTH);
    }
    expect(tryBoth(silent, "0000:01:00.1", barStart(1, 0))).toEqual(BOTH);
  });
});

describe("devices of a conventional PCI bus", () => {
  it("see each other's requests on the bus, through bridges of the bus too", () => {
    const conventional = { portType: -1 } as const;
    const topology = buildTopology("conventional", [
      bridge("0000:00:1e.0", PORT_TYPE.PCIE_TO_PCI, [1, 2]),
      endpoint("0000:01:01.0", conventional),
      endpoint("0000:01:02.0", {
        ...conventional,
        bars: [
          {
            index: 0,
            start: barStart(1, 2),
            size: MIB,
            kind: "memory",
            wide: false,
            prefetchable: false,
          },
        ],
      }),
      bridge("0000:01:03.0", -1, [2, 2]),
      endpoint("0000:02:00.0", conventional),
    ]);
    const bench = start(topology, { rootComplex: "none" });

    expect(tryBoth(bench, "0000:01:01.0", barStart(1, 2))).toEqual(BOTH);
    expect(tryBoth(bench, "0000:01:01.0", barStart(2))).toEqual(BOTH);
    expect(tryBoth(bench, "0000:02:00.0", barStart(1))).toEqual(BOTH);
  });
});
