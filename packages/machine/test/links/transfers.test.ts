import {
  type DmaRequest,
  type DmaRoute,
  type PhysicalAddress,
  PhysicalRanges,
  type SegmentList,
  UNLIMITED,
} from "@peerbuf/core";
import {
  createMachine,
  createModelledPlatform,
  type LinkOptions,
  type Machine,
  type TransferPlan,
} from "@peerbuf/machine";
import { ACS, type FunctionRecord, type Topology } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import {
  acs,
  barStart,
  MemoryDevice,
  MIB,
  switchTopology,
  tinyTopology,
} from "../small-machines.ts";

const NEAR = "0000:03:00.0";
const PEER = "0000:04:00.0";
const THIRD = "0000:05:00.0";
const OTHER_PORT = "0000:06:00.0";
const FAR = "0000:81:00.0";

/** 31.42 bytes a nanosecond: 16 GT/s x16 after coding and skip ordered sets. */
const GEN4_X16 = { link: { speedMtps: 16_000, width: 16 } };
const GEN4_BYTES_PER_NS = ((16_000 * 16) / 8000) * (128 / 130) * (370 / 371);
const SWITCH_NS = 105;
const ROOT_COMPLEX_NS = 273;

const NOTHING = { name: "media", perNs: 0 };
const ONE = { name: "media", perNs: 1 };

type Changes = Readonly<Record<string, Partial<FunctionRecord>>>;

const fast: Changes = Object.fromEntries(
  [NEAR, PEER, THIRD, OTHER_PORT, FAR, "0000:01:00.0"].map((bdf) => [bdf, GEN4_X16]),
);

interface Server {
  readonly machine: Machine;
  readonly devices: ReadonlyMap<string, MemoryDevice>;
}

function start(changes: Changes = fast, links: LinkOptions = {}, topology?: Topology): Server {
  const machine = createMachine({ topology: topology ?? switchTopology(changes), links });
  const devices = new Map<string, MemoryDevice>();
  for (const row of machine.topology.endpoints) {
    const device = new MemoryDevice();
    machine.place(machine.topology.bdfOf(row), device);
    devices.set(machine.topology.bdfOf(row), device);
  }
  return { machine, devices };
}

const portOf = ({ devices }: Server, bdf: string) => (devices.get(bdf) as MemoryDevice).port;

/** How long one transfer takes on a machine that does nothing else. */
function durationNs(
  server: Server,
  from: string,
  kind: "read" | "write",
  address: number,
  bytes: number,
): number {
  const { clock } = server.machine;
  const startNs = clock.nowNs;
  let endNs = -1;
  portOf(server, from).transfer({ legs: [{ kind, runs: [address, bytes] }] }, () => {
    endNs = clock.nowNs;
  });
  clock.run();
  return endNs - startNs;
}

const carried = ({ machine }: Server, port: string, direction: "up" | "down"): number =>
  machine.links.usage().find((each) => each.name === port && each.direction === direction)
    ?.carried ?? 0;

describe("transfers over links", () => {
  it("put the packets of a write on each link they cross: 24 bytes more for every 256 to a high address, 20 to a low one", () => {
    const server = start();

    durationNs(server, NEAR, "write", barStart(4), 4096);

    expect(carried(server, "0000:02:00.0", "up")).toBe(16 * (256 + 12 + 8));
    expect(carried(server, "0000:02:01.0", "down")).toBe(16 * (256 + 12 + 8));
    expect(carried(server, "0000:02:00.0", "down")).toBe(16 * 4);
    expect(carried(server, "0000:00:01.0", "up")).toBe(0);
  });

  it("send read requests one way, of 512 bytes each, and completions the other", () => {
    const server = start();

    durationNs(server, NEAR, "read", barStart(4), 4096);

    const requests = 8 * (12 + 8);
    const completions = 16 * (256 + 12 + 8);
    expect(carried(server, "0000:02:01.0", "down")).toBe(requests + 16 * 4);
    expect(carried(server, "0000:02:01.0", "up")).toBe(completions + 8 * 4);
  });

  it("bring completions back the way that the fabric takes them, the long one where a port redirects them", () => {
    const direct = start();
    const redirected = start({ ...fast, "0000:02:01.0": acs(ACS.CR) });

    for (const server of [direct, redirected]) {
      durationNs(server, NEAR, "read", barStart(4), 4096);
    }

    expect(carried(direct, "0000:00:01.0", "up")).toBe(0);
    expect(carried(redirected, "0000:00:01.0", "up")).toBeGreaterThan(16 * (256 + 12 + 8) - 1);
    expect(carried(redirected, "0000:00:01.0", "down")).toBeGreaterThan(16 * (256 + 12 + 8) - 1);
  });

  it("take the packet sizes from Device Control where config space was captured", () => {
    // Express capability at 0x40: payload of 128 bytes, read requests of 4,096.
    const config = new Uint8Array(256);
    config.set([0x06, 0, 0x10], 0x04); // Memory space and bus master are enabled, and there are capabilities.
    config.set([0x40], 0x34);
    config.set([0x10, 0, 0x02, 0], 0x40);
    config.set([0, 0x50], 0x48);
    const server = start({ ...fast, [NEAR]: { ...GEN4_X16, config } });

    durationNs(server, NEAR, "write", barStart(4), 4096);
    expect(carried(server, "0000:02:00.0", "up")).toBe(32 * (128 + 12 + 8));

    durationNs(server, NEAR, "read", barStart(4), 4096);
    expect(carried(server, "0000:02:01.0", "down") - 32 * (128 + 12 + 8)).toBe(12 + 8 + 16 * 4);
  });

  it("last as long as their packets take on the slowest link, and the way to the other side, up to a whole nanosecond", () => {
    const half = { link: { speedMtps: 16_000, width: 8 } };
    const server = start({ ...fast, [PEER]: half });
    const wire = (MIB / 256) * 276;

    expect(durationNs(server, NEAR, "write", barStart(4), MIB)).toBe(
      Math.ceil(wire / (GEN4_BYTES_PER_NS / 2) + SWITCH_NS),
    );
    expect(durationNs(server, NEAR, "write", barStart(5), MIB)).toBe(
      Math.ceil(wire / GEN4_BYTES_PER_NS + SWITCH_NS),
    );
    expect(durationNs(server, NEAR, "write", barStart(6), 64)).toBe(
      Math.ceil(84 / GEN4_BYTES_PER_NS + SWITCH_NS + ROOT_COMPLEX_NS),
    );
  });

  it("take no time on links that were not captured, unless the machine is told what to assume", () => {
    const unknown = start({});
    const told = start({}, { assumed: { speedMtps: 16_000, width: 16 } });

    expect(durationNs(unknown, NEAR, "write", barStart(4), MIB)).toBe(SWITCH_NS);
    expect(durationNs(told, NEAR, "write", barStart(4), MIB)).toBeGreaterThan(
      MIB / GEN4_BYTES_PER_NS,
    );
  });

  it("are as fast as both ends can where the machine is told that its links were idle when it was captured", () => {
    const asleep = { speedMtps: 2500, width: 16, speedMaxMtps: 16_000 };
    const port = { speedMtps: 2500, width: 16, speedMaxMtps: 32_000 };
    const changes = { ...fast, [PEER]: { link: asleep }, "0000:02:01.0": { link: port } };
    const captured = start(changes);
    const capable = start(changes, { speed: "capable" });

    const slow = durationNs(captured, NEAR, "write", barStart(4), MIB);
    const quick = durationNs(capable, NEAR, "write", barStart(4), MIB);

    expect(MIB / slow).toBeLessThan(4);
    expect(quick).toBe(durationNs(start(), NEAR, "write", barStart(4), MIB));
  });

  it("are as fast as the machine is told for a function, whatever was captured", () => {
    const server = start(
      {},
      { byFunction: { [NEAR]: GEN4_X16.link, "0000:02:01.0": GEN4_X16.link } },
    );

    expect(durationNs(server, NEAR, "write", barStart(4), MIB)).toBe(
      durationNs(start(), NEAR, "write", barStart(4), MIB),
    );
  });

  it("share what they share: two into one device take twice as long, into two devices they do not", () => {
    const server = start();
    const { machine } = server;
    const ends: number[] = [];
    const write = (from: string, bus: number): void => {
      const legs = [{ kind: "write" as const, runs: [barStart(bus), MIB] }];
      portOf(server, from).transfer({ legs }, () => ends.push(machine.clock.nowNs));
    };
    const alone = durationNs(server, NEAR, "write", barStart(4), MIB) - SWITCH_NS;

    const startNs = machine.clock.nowNs;
    write(NEAR, 4);
    write(THIRD, 4);
    machine.clock.run();
    expect(ends.map((end) => (end - startNs - SWITCH_NS) / alone)).toEqual([
      expect.closeTo(2, 3),
      expect.closeTo(2, 3),
    ]);

    ends.length = 0;
    const nextNs = machine.clock.nowNs;
    write(NEAR, 4);
    write(PEER, 3);
    machine.clock.run();
    // Both directions of both links are used: only acknowledgements are in the way of each other.
    expect(Math.max(...ends.map((end) => (end - nextNs) / alone))).toBeLessThan(1.05);
  });

  it("pass an Intel root complex in packets of 64 bytes, those of other processors as they came", () => {
    const topology = switchTopology(fast);
    const intel = start(
      {},
      {},
      topology.withFacts({ cpu: { vendor: "GenuineIntel", family: 6, model: 0x8f } }),
    );
    const amd = start(
      {},
      {},
      topology.withFacts({ cpu: { vendor: "AuthenticAMD", family: 0x19 } }),
    );

    for (const server of [intel, amd]) {
      durationNs(server, NEAR, "write", barStart(6), 4096);
    }

    expect(carried(intel, "0000:00:02.0", "down")).toBe(64 * (64 + 12 + 8));
    expect(carried(intel, "0000:00:01.0", "up")).toBe(16 * (256 + 12 + 8));
    expect(carried(amd, "0000:00:02.0", "down")).toBe(16 * (256 + 12 + 8));
  });

  it("cross from processor to processor no faster than NCCL plans with, and only between packages", () => {
    const nodes = (distance: number) => [
      { id: 0, distances: [10, distance], cpuList: "" },
      { id: 1, distances: [distance, 10], cpuList: "" },
    ];
    const placed = switchTopology({
      ...fast,
      [NEAR]: { ...GEN4_X16, numaNode: 0 },
      [FAR]: { ...GEN4_X16, numaNode: 1 },
    });
    const cpu = { vendor: "AuthenticAMD", family: 0x17, model: 0x31 };
    const apart = start({}, {}, placed.withFacts({ cpu, numaNodes: nodes(32) }));
    const together = start({}, {}, placed.withFacts({ cpu, numaNodes: nodes(12) }));
    const address = barStart(0x71);

    expect(
      MIB / (durationNs(apart, NEAR, "write", address, MIB) - SWITCH_NS - ROOT_COMPLEX_NS),
    ).toBeCloseTo(16, 3);
    expect(MIB / durationNs(together, NEAR, "write", address, MIB)).toBeGreaterThan(25);
  });

  it("are held back by memory and host bridges where the machine is told so", () => {
    const server = start(fast, { memoryBytesPerNs: 5, peerBytesPerNs: 4 });
    const ram = server.machine.memory.allocate(MIB, { contiguous: true }).ranges.start(0);

    const toRam = durationNs(server, NEAR, "write", ram, MIB) - SWITCH_NS - ROOT_COMPLEX_NS;
    const toPeer =
      durationNs(server, NEAR, "write", barStart(6), MIB) - SWITCH_NS - ROOT_COMPLEX_NS;

    expect(toRam).toBe(Math.ceil(MIB / 5));
    expect(toPeer).toBe(MIB / 4);
  });

  it("end in order for one device and one way, and a transfer that is taken back makes room for the next", () => {
    const server = start();
    const order: string[] = [];
    const begin = (name: string) =>
      portOf(server, NEAR).transfer({ legs: [{ kind: "write", runs: [barStart(4), MIB] }] }, () =>
        order.push(`${name} at ${server.machine.clock.nowNs}`),
      );
    const first = begin("first");
    const second = begin("second");
    begin("third");
    second.cancel();
    first.cancel();
    first.cancel();
    server.machine.clock.run();
    const wire = (MIB / 256) * 276;

    expect(order).toEqual([`third at ${Math.ceil(wire / GEN4_BYTES_PER_NS + SWITCH_NS)}`]);
    expect(server.machine.links.timesOf(NEAR)).toMatchObject({ count: 1, bytes: MIB });
  });

  it("of nothing at all end too, at once but not within the call", () => {
    const server = start();
    let isDone = false;

    portOf(server, NEAR).transfer({ legs: [] }, () => {
      isDone = true;
    });

    expect(isDone).toBe(false);
    server.machine.clock.run();
    expect(isDone).toBe(true);
    expect(server.machine.clock.nowNs).toBe(0);
  });

  it("go the way of the mapping that is there: the same device address may lead to RAM, and then to a peer", () => {
    const server = start({ ...fast, [OTHER_PORT]: { link: { speedMtps: 2500, width: 1 } } });
    const { machine } = server;
    const platform = createModelledPlatform(machine, { dma: "iommu" });
    const client = platform.device(NEAR);
    const map = (start: number, route: DmaRoute): SegmentList => {
      const ranges = PhysicalRanges.of(start as PhysicalAddress, MIB);
      const provider = route === "system" ? undefined : platform.device(OTHER_PORT);
      const request = {
        client,
        provider,
        ranges,
        route,
        direction: "from-device",
        limits: UNLIMITED,
      };
      return platform.dma.map(request as DmaRequest) as SegmentList;
    };
    const ram = map(machine.memory.allocate(MIB, { contiguous: true }).ranges.start(0), "system");
    const toRam = durationNs(server, NEAR, "write", ram.address(0), MIB);
    platform.dma.unmap(client, ram, "from-device");
    const peer = map(barStart(6), "host-bridge");

    const toPeer = durationNs(server, NEAR, "write", peer.address(0), MIB);

    expect(peer.address(0)).toBe(ram.address(0));
    expect(toPeer).toBeGreaterThan(50 * toRam);
    platform.close();
  });

  it("meet what became of their target meanwhile: bytes of a mapping that is gone fault, and hurt nobody", () => {
    const server = start();
    const { machine } = server;
    const platform = createModelledPlatform(machine, { dma: "iommu" });
    const client = platform.device(NEAR);
    const pages = machine.memory.allocate(MIB, { contiguous: true });
    const ranges = pages.ranges;
    const direction = "from-device";
    const request = {
      client,
      provider: undefined,
      ranges,
      route: "system",
      direction,
      limits: UNLIMITED,
    };
    const segments = platform.dma.map(request as DmaRequest) as SegmentList;
    const port = portOf(server, NEAR);
    const bytes = new Uint8Array(MIB).fill(0xee);
    let arrived: boolean | undefined;
    port.transfer({ legs: [{ kind: "write", runs: [segments.address(0), MIB] }] }, () => {
      arrived = port.write(segments.address(0), bytes, 0, MIB).ok;
    });

    machine.clock.runUntil(machine.clock.nowNs + 1000);
    platform.dma.unmap(client, segments, direction);
    machine.clock.run();

    expect(arrived).toBe(false);
    const found = new Uint8Array(8);
    machine.inspect.peek(ranges.start(0), found);
    expect(found).toEqual(new Uint8Array(8));
    platform.close();
  });

  it("refuses links that are none", () => {
    const wrong: LinkOptions[] = [
      { payloadBytes: 100 },
      { socketBytesPerNs: 0 },
      { memoryBytesPerNs: Number.NaN },
      { assumed: { speedMtps: 0, width: 16 } },
      { byFunction: { [NEAR]: { speedMtps: Number.NaN, width: 16 } } },
      { byFunction: { "0000:09:00.0": GEN4_X16.link } },
      { assumed: { speedMtps: 16_000, width: 1.5 } },
    ];
    for (const links of wrong) {
      expect(() => start(fast, links)).toThrow(expect.objectContaining({ name: "InputError" }));
    }
    const integrated = { byFunction: { "0000:00:04.0": GEN4_X16.link } };
    expect(() => start({}, integrated, tinyTopology())).toThrow("on no PCIe link");
  });

  it.each<[string, TransferPlan]>([
    ["bytes without end", { legs: [{ kind: "read", runs: [0, Number.POSITIVE_INFINITY] }] }],
    ["no number of bytes", { legs: [{ kind: "read", runs: [0, Number.NaN] }] }],
    ["an address without a length", { legs: [{ kind: "write", runs: [0] }] }],
    ["a limit that carries nothing", { legs: [], limits: [{ limit: NOTHING, amount: 1 }] }],
    ["no amount", { legs: [], limits: [{ limit: ONE, amount: Number.NaN }] }],
  ])("refuses a plan with %s, and the others' transfers take their time", (_, plan) => {
    const undisturbed = durationNs(start(), PEER, "read", barStart(3), 65_536);
    const server = start();

    expect(() => portOf(server, NEAR).transfer(plan, () => {})).toThrow(
      expect.objectContaining({
        code: "ARGUMENT_INVALID",
        message: expect.stringContaining(NEAR),
      }),
    );

    expect(durationNs(server, PEER, "read", barStart(3), 65_536)).toBe(undisturbed);
  });

  it("refuses a link that is stated at both of its ends", () => {
    const twice = { byFunction: { [NEAR]: GEN4_X16.link, "0000:02:00.0": GEN4_X16.link } };

    expect(() => start({}, twice)).toThrow("the link below 0000:02:00.0 is stated already");
  });
});
