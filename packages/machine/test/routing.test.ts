import {
  createMachine,
  type Machine,
  type MachineOptions,
  type RootComplexProfile,
} from "@peerbuf/machine";
import { ACS, buildTopology, PORT_TYPE, type Topology } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import {
  acs,
  barStart,
  bridge,
  endpoint,
  MemoryDevice,
  MIB,
  switchTopology,
} from "./small-machines.ts";

const DATA = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const ONES = new Uint8Array(8).fill(0xff);
const ZEROS = new Uint8Array(8);

interface Bench {
  readonly machine: Machine;
  readonly devices: ReadonlyMap<string, MemoryDevice>;
}

function start(topology: Topology, options: Omit<MachineOptions, "topology"> = {}): Bench {
  const machine = createMachine({ topology, memoryBytesPerNode: 64 * MIB, ...options });
  const devices = new Map<string, MemoryDevice>();
  for (const row of topology.endpoints) {
    const device = new MemoryDevice();
    machine.place(topology.bdfOf(row), device);
    devices.set(topology.bdfOf(row), device);
  }
  return { machine, devices };
}

const portOf = ({ devices }: Bench, bdf: string) => (devices.get(bdf) as MemoryDevice).port;

function peek({ machine }: Bench, address: number): Uint8Array {
  const found = new Uint8Array(8);
  machine.inspect.peek(address, found);
  return found;
}

/** Does a write arrive, and does a read bring back what stands there? */
function tryBoth(bench: Bench, from: string, address: number, physical = address) {
  const port = portOf(bench, from);
  bench.machine.inspect.poke(physical, ZEROS);
  const write = port.write(address, DATA, 0, 8);
  const arrived = peek(bench, physical);
  bench.machine.inspect.poke(physical, DATA);
  const read = new Uint8Array(8);
  const completion = port.read(address, read, 0, 8);
  return {
    write: write.ok && Buffer.compare(arrived, DATA) === 0,
    read: completion.ok && Buffer.compare(read, DATA) === 0,
  };
}

const BOTH = { write: true, read: true };
const NONE = { write: false, read: false };

const events = (bench: Bench, from: string, address: number, kind: "read" | "write" = "write") =>
  bench.machine.inspect.trace(from, address, kind).hops.map(({ at, event }) => `${at} ${event}`);

describe("a request for RAM", () => {
  it("goes up to the root complex, whatever that does with peer requests", () => {
    const bench = start(switchTopology(), { rootComplex: "none" });

    expect(tryBoth(bench, "0000:03:00.0", 2 * MIB)).toEqual(BOTH);
    expect(events(bench, "0000:03:00.0", 2 * MIB)).toEqual([
      "0000:03:00.0 issues",
      "0000:02:00.0 up",
      "0000:01:00.0 up",
      "0000:00:01.0 up",
      "root complex root-complex",
    ]);
  });

  it("is cut where one bank of RAM ends and the next begins", () => {
    const bench = start(switchTopology(), { memoryBytesPerNode: [4 * MIB, 4 * MIB] });
    const border = 5 * MIB;
    const port = portOf(bench, "0000:03:00.0");

    expect(port.write(border - 4, DATA, 0, 8).ok).toBe(true);

    const halves = [new Uint8Array(4), new Uint8Array(4)] as const;
    bench.machine.inspect.peek(border - 4, halves[0]);
    bench.machine.inspect.peek(border, halves[1]);
    expect([...halves[0], ...halves[1]]).toEqual([...DATA]);
  });
});

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
    expect(events(forwarding, "0000:03:00.0", barStart(4), "read")).toContain(
      "0000:02:01.0 completion-redirected",
    );
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

describe("through the root complex", () => {
  const SAME = barStart(6);
  const OTHER = barStart(0x71);
  const table: readonly [RootComplexProfile, object, object][] = [
    ["forwards", BOTH, BOTH],
    ["same-host-bridge", BOTH, NONE],
    ["writes-only", { write: true, read: false }, { write: true, read: false }],
    ["none", NONE, NONE],
  ];

  it.each(table)("%s", (rootComplex, same, other) => {
    const bench = start(switchTopology(), { rootComplex });

    expect(tryBoth(bench, "0000:03:00.0", SAME)).toEqual(same);
    expect(tryBoth(bench, "0000:03:00.0", OTHER)).toEqual(other);
  });

  it("another profile counts from the next request on", () => {
    const bench = start(switchTopology(), { rootComplex: "none" });
    expect(tryBoth(bench, "0000:03:00.0", OTHER)).toEqual(NONE);

    bench.machine.setRootComplex("forwards");

    expect(tryBoth(bench, "0000:03:00.0", OTHER)).toEqual(BOTH);
  });

  it("two endpoints on a root bus are the root complex's business as well", () => {
    const topology = buildTopology("integrated", [
      endpoint("0000:00:04.0"),
      endpoint("0000:00:04.1"),
    ]);

    const silent = start(topology, { rootComplex: "none" });
    expect(tryBoth(silent, "0000:00:04.0", barStart(0, 1))).toEqual(NONE);
    expect(tryBoth(silent, "0000:00:04.0", barStart(0, 0))).toEqual(BOTH);
    const forwarding = start(topology, { rootComplex: "same-host-bridge" });
    expect(tryBoth(forwarding, "0000:00:04.0", barStart(0, 1))).toEqual(BOTH);
  });
});

describe("what reaches nothing", () => {
  it("reads as all ones, vanishes when written, and is counted and logged with its place", () => {
    const bench = start(switchTopology(), { rootComplex: "none" });
    const { inspect } = bench.machine;
    const seen: string[] = [];
    const subscription = inspect.faults.subscribe(({ kind, reason }) =>
      seen.push(`${kind} ${reason}`),
    );
    const read = new Uint8Array(8);
    const port = portOf(bench, "0000:03:00.0");

    expect(port.read(barStart(6), read, 0, 8)).toEqual({ ok: false, lostBytes: 8 });
    expect(port.write(barStart(6), DATA, 0, 8)).toEqual({ ok: false, lostBytes: 8 });
    subscription.unsubscribe();

    expect(read).toEqual(ONES);
    expect(peek(bench, barStart(6))).toEqual(ZEROS);
    const counted = {
      requests: 2,
      readBytes: 8,
      writtenBytes: 8,
      lostReads: 1,
      lostWrites: 1,
      lostBytes: 16,
    };
    expect(inspect.traffic("0000:03:00.0")).toEqual(counted);
    expect(inspect.totalTraffic()).toEqual(counted);
    expect(inspect.recentFaults()[1]).toEqual({
      requester: "0000:03:00.0",
      address: barStart(6),
      lengthBytes: 8,
      kind: "write",
      reason: "ROOT_COMPLEX_DROPS",
      at: "root complex",
      timeNs: 0,
    });
    expect(seen).toEqual(["read ROOT_COMPLEX_DROPS", "write ROOT_COMPLEX_DROPS"]);
  });

  it("a function without a model claims its BAR and answers nothing", () => {
    const machine = createMachine({ topology: switchTopology() });
    const device = new MemoryDevice();
    machine.place("0000:03:00.0", device);
    const read = new Uint8Array(8);

    expect(device.port.read(barStart(4), read, 0, 8).lostBytes).toBe(8);

    expect(read).toEqual(ONES);
    expect(machine.inspect.recentFaults()[0]).toMatchObject({
      reason: "NOTHING_BEHIND_BAR",
      at: "0000:04:00.0",
    });
  });

  it("is only what lies beyond the edge, when a request crosses it", () => {
    const bench = start(switchTopology());
    const edge = barStart(4) + MIB;
    const read = new Uint8Array(8);
    bench.machine.inspect.poke(edge - 4, Uint8Array.of(1, 2, 3, 4));

    expect(portOf(bench, "0000:03:00.0").read(edge - 4, read, 0, 8).lostBytes).toBe(4);

    expect([...read]).toEqual([1, 2, 3, 4, 255, 255, 255, 255]);
  });

  it("keeps the last faults only, and counts them all", () => {
    const bench = start(switchTopology());
    const port = portOf(bench, "0000:03:00.0");

    for (let index = 0; index < 300; index++) {
      port.write(0xf000_0000 + index, DATA, 0, 1);
    }

    expect(bench.machine.inspect.faultCount).toBe(300);
    expect(bench.machine.inspect.recentFaults()).toHaveLength(256);
    expect(bench.machine.inspect.recentFaults().at(-1)?.address).toBe(0xf000_0000 + 299);
  });
});

describe("a host bridge with a bus offset", () => {
  const OFFSET = 0x10_0000_0000;

  it("takes bus addresses from devices: RAM and BARs lie higher by the offset", () => {
    const bench = start(switchTopology(), { busOffset: { "0000:00": OFFSET } });

    expect(tryBoth(bench, "0000:03:00.0", 2 * MIB + OFFSET, 2 * MIB)).toEqual(BOTH);
    expect(tryBoth(bench, "0000:03:00.0", barStart(4) + OFFSET, barStart(4))).toEqual(BOTH);
    expect(tryBoth(bench, "0000:81:00.0", barStart(4))).toEqual(BOTH);
  });

  it("physical addresses put on its bus reach nothing", () => {
    const bench = start(switchTopology(), { busOffset: { "0000:00": OFFSET } });

    expect(tryBoth(bench, "0000:03:00.0", 2 * MIB)).toEqual(NONE);
    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(NONE);
  });

  it("a physical address put on its bus may hit what it was never meant for", () => {
    const bench = start(switchTopology(), { busOffset: { "0000:00": barStart(4) - 2 * MIB } });
    bench.machine.inspect.poke(2 * MIB, ZEROS);

    portOf(bench, "0000:03:00.0").write(barStart(4), DATA, 0, 8);

    expect(peek(bench, 2 * MIB)).toEqual(DATA);
    expect(peek(bench, barStart(4))).toEqual(ZEROS);
  });

  it("must be one of the machine's", () => {
    expect(() =>
      createMachine({ topology: switchTopology(), busOffset: { "0001:00": 1 } }),
    ).toThrow(/no such root bus/);
  });
});
