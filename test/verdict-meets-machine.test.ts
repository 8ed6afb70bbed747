/**
 * Verdict meets machine: what the kernel's rules promise, tried with bytes.
 *
 * The modelled machine routes by bridge windows, ACS bits and what its root complex does; it never
 * asks the rules. So a verdict that says "this works" is put to the test by moving bytes, and one
 * that says "unsupported" by ignoring it on a machine that forwards nothing.
 */
import { readdirSync } from "node:fs";
import {
  type Device,
  type DmaRequest,
  type PathType,
  type PhysicalAddress,
  PhysicalRanges,
  type SegmentList,
  UNLIMITED,
} from "@peerbuf/core";
import {
  type BarModel,
  type BarShape,
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type DevicePort,
  type ModelledPlatform,
  type PlatformOptions,
  type RootComplexProfile,
  SparseMemory,
} from "@peerbuf/machine";
import {
  ACS,
  ACS_PRESENT,
  generateFabric,
  judgePair,
  type KernelRules,
  readCapture,
  rulesForKernel,
  type Topology,
  walkPair,
} from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const CAPTURES = new URL("fixtures/captures/", import.meta.url).pathname;
/** Bytes moved for each pair and way; the smallest memory BAR has 16. */
const PROBE_BYTES = 64;

/** Memory behind every BAR, and the port for the test to issue requests from. */
class MemoryDevice implements DeviceModel {
  readonly name = "memory";
  port: DevicePort | undefined;

  connect(port: DevicePort, bars: readonly BarShape[]): ReadonlyMap<number, BarModel> {
    this.port = port;
    return new Map(
      bars.map(({ index, sizeBytes }) => [
        index,
        { kind: "memory", memory: new SparseMemory(sizeBytes), base: 0 } as const,
      ]),
    );
  }

  reset(): void {}
}

interface Bench {
  readonly topology: Topology;
  readonly platform: ModelledPlatform;
  readonly ports: ReadonlyMap<number, DevicePort>;
}

/**
 * Upstream Forwarding wherever a function can: the kernel sets it together with the redirects (6.12,
 * `pci_std_enable_acs`). Captures in which firmware set the redirects alone are looked at further down.
 */
function forwardingUp(topology: Topology): Topology {
  const { acsState, acsCapability, acsControl } = topology.table;
  const control = new Map<number, number>();
  acsCapability.forEach((capability, row) => {
    if (acsState[row] === ACS_PRESENT) {
      control.set(row, (acsControl[row] as number) | (capability & ACS.UF));
    }
  });
  return topology.withAcsControl(control);
}

/** A machine with memory devices in all endpoints. */
function startBench(
  topology: Topology,
  rootComplex: RootComplexProfile,
  busOffset: Readonly<Record<string, number>> = {},
  options: PlatformOptions = {},
): Bench {
  const machine = createMachine({ topology, rootComplex, busOffset });
  const platform = createModelledPlatform(machine, options);
  const ports = new Map<number, DevicePort>();
  for (const row of topology.endpoints) {
    const model = new MemoryDevice();
    machine.place(topology.bdfOf(row), model);
    // The test is every function's driver: those without one in the capture are no bus masters.
    machine.hotPlug.enable(row);
    ports.set(row, model.port as DevicePort);
  }
  return { topology, platform, ports };
}

interface Pair {
  readonly provider: number;
  readonly client: number;
  readonly ranges: PhysicalRanges;
}

/** Every ordered pair, itself included, in which the provider has an assigned memory BAR: its first is used. */
function* pairsOf({ topology, platform }: Bench): Generator<Pair> {
  const bars = platform.machine.inspect.bars();
  for (const provider of topology.endpoints) {
    const bar = bars.find(({ bdf }) => bdf === topology.bdfOf(provider));
    if (bar === undefined) {
      continue;
    }
    const lengthBytes = Math.min(bar.sizeBytes, PROBE_BYTES);
    const ranges = PhysicalRanges.of(bar.start as PhysicalAddress, lengthBytes);
    for (const client of topology.endpoints) {
      yield { provider, client, ranges };
    }
  }
}

interface Outcome {
  /** What stands in the provider's memory afterwards is what the client wrote. */
  readonly written: boolean;
  /** What the client read is what stood in the provider's memory. */
  readonly read: boolean;
  /** Nothing of the write arrived, and the read gave all ones. */
  readonly vanished: boolean;
  readonly lostBytes: number;
  readonly logged: number;
}

/** Maps the provider's memory for the client and moves bytes both ways. */
function tryPair(bench: Bench, pair: Pair, route: DmaRequest["route"], salt: number): Outcome {
  const { platform } = bench;
  const { inspect } = platform.machine;
  const client = platform.device(bench.topology.bdfOf(pair.client));
  const segments = mapFor(platform, client, pair, bench, route);
  const port = bench.ports.get(pair.client) as DevicePort;
  const before = inspect.traffic(client.id).lostBytes;
  const faultsBefore = inspect.faultCount;

  const pattern = patternOf(pair.ranges.sizeBytes, salt);
  const stood = patternOf(pair.ranges.sizeBytes, salt + 1);
  inspect.poke(pair.ranges.start(0), stood);
  port.write(segments.address(0), pattern, 0, pattern.length);
  const arrived = new Uint8Array(pattern.length);
  inspect.peek(pair.ranges.start(0), arrived);
  inspect.poke(pair.ranges.start(0), stood);
  const read = new Uint8Array(pattern.length);
  port.read(segments.address(0), read, 0, read.length);
  platform.dma.unmap(client, segments, "bidirectional");

  return {
    written: isEqual(arrived, pattern),
    read: isEqual(read, stood),
    vanished: isEqual(arrived, stood) && read.every((byte) => byte === 0xff),
    lostBytes: inspect.traffic(client.id).lostBytes - before,
    logged: inspect.faultCount - faultsBefore,
  };
}

function mapFor(
  platform: ModelledPlatform,
  client: Device,
  pair: Pair,
  { topology }: Bench,
  route: DmaRequest["route"],
): SegmentList {
  const made = platform.dma.map({
    client,
    ranges: pair.ranges,
    provider: platform.device(topology.bdfOf(pair.provider)),
    route,
    direction: "bidirectional",
    limits: UNLIMITED,
  });
  if ("answer" in made) {
    throw new Error(made.text);
  }
  return made;
}

/** Bytes that are neither all ones nor all zeros and differ from salt to salt. */
const patternOf = (lengthBytes: number, salt: number): Uint8Array =>
  Uint8Array.from({ length: lengthBytes }, (_, index) => (salt * 31 + index * 7 + 1) % 251);

const isEqual = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

const nameOf = ({ topology }: Bench, { provider, client }: Pair): string =>
  `${topology.bdfOf(client)} -> ${topology.bdfOf(provider)}`;

/** Pairs to which the rules give one of these types, and the machine did not carry every byte. */
function brokenPromises(bench: Bench, rules: KernelRules, types: readonly PathType[]): string[] {
  const broken: string[] = [];
  let salt = 0;
  for (const pair of pairsOf(bench)) {
    const { type } = judgePair(bench.topology, rules, pair.provider, pair.client);
    if ((type !== "bus-addr" && type !== "host-bridge") || !types.includes(type)) {
      continue;
    }
    const outcome = tryPair(bench, pair, type, salt++);
    if (!(outcome.written && outcome.read && outcome.lostBytes === 0)) {
      broken.push(`${nameOf(bench, pair)}: ${type}`);
    }
  }
  return broken;
}

/**
 * Must the hardware lose it? Written down apart from the machine: no bridge in common means the
 * root complex; below a common bridge the request is redirected where it enters the common bus.
 */
function mustBeLost({ topology }: Bench, { provider, client }: Pair): boolean {
  if (provider === client) {
    return false;
  }
  const { common, clientSide } = walkPair(topology, provider, client);
  const entry = clientSide[clientSide.length - 1];
  if (common < 0 || entry === undefined) {
    return common < 0;
  }
  const { acsState, acsControl } = topology.table;
  const control = acsState[entry] === ACS_PRESENT ? (acsControl[entry] as number) : 0;
  return (control & ACS.RR) !== 0 && (control & ACS.EC) === 0;
}

interface Losses {
  /** Pairs that were mapped in spite of the verdict, and lost everything. */
  lost: number;
  /** Whatever was not as it must be. */
  readonly wrong: string[];
}

/**
 * Maps what needs a root complex that forwards, on a machine whose root complex forwards nothing:
 * unsupported pairs in spite of the verdict, host-bridge pairs because the kernel's table is wrong about this one.
 */
function ignoreVerdicts(bench: Bench, rules: KernelRules): Losses {
  const losses: Losses = { lost: 0, wrong: [] };
  let salt = 0;
  for (const pair of pairsOf(bench)) {
    const { type } = judgePair(bench.topology, rules, pair.provider, pair.client);
    if (type === "bus-addr") {
      continue;
    }
    const outcome = tryPair(bench, pair, "host-bridge", salt++);
    const { sizeBytes } = pair.ranges;
    // A read whose completion is redirected is lost although the write arrives; nothing else is in between.
    const isWhole = outcome.written && outcome.read && outcome.lostBytes === 0;
    const isHalf = outcome.written && !outcome.read && outcome.lostBytes === sizeBytes;
    const isLost = outcome.vanished && outcome.lostBytes === 2 * sizeBytes && outcome.logged === 2;
    losses.lost += isLost ? 1 : 0;
    if (!(isLost || (!mustBeLost(bench, pair) && (isWhole || isHalf)))) {
      losses.wrong.push(`${nameOf(bench, pair)}: ${JSON.stringify(outcome)}`);
    }
  }
  return losses;
}

describe("what the kernel's rules promise, on a captured machine", () => {
  const rules = rulesForKernel("6.12");

  it.each(readdirSync(CAPTURES))(
    "%s: every bus-addr and host-bridge pair moves every byte when the root complex forwards",
    async (name) => {
      const bench = startBench(forwardingUp(await readCapture(`${CAPTURES}${name}`)), "forwards");

      expect(brokenPromises(bench, rules, ["bus-addr", "host-bridge"])).toEqual([]);
      expect(bench.platform.machine.inspect.totalTraffic().lostBytes).toBe(0);
      expect(bench.platform.machine.handles().mappings).toBe(0);
    },
  );

  it("the same with an IOMMU: its mappings carry every byte too", async () => {
    for (const name of readdirSync(CAPTURES)) {
      const topology = forwardingUp(await readCapture(`${CAPTURES}${name}`));
      const bench = startBench(topology, "forwards", {}, { dma: "iommu" });

      expect(brokenPromises(bench, rules, ["bus-addr", "host-bridge"])).toEqual([]);
      expect(bench.platform.machine.inspect.faultCount).toBe(0);
      expect(bench.platform.machine.handles().mappings).toBe(0);
    }
  });

  it("bus-addr pairs need no root complex: they move every byte even when it forwards nothing", async () => {
    for (const name of readdirSync(CAPTURES)) {
      const bench = startBench(forwardingUp(await readCapture(`${CAPTURES}${name}`)), "none");

      expect(brokenPromises(bench, rules, ["bus-addr"])).toEqual([]);
      expect(bench.platform.machine.inspect.totalTraffic().lostBytes).toBe(0);
    }
  });

  it("pairs that need the root complex lose their bytes, counted and logged, when it forwards nothing", async () => {
    let lost = 0;
    for (const name of readdirSync(CAPTURES)) {
      const bench = startBench(forwardingUp(await readCapture(`${CAPTURES}${name}`)), "none");
      const losses = ignoreVerdicts(bench, rules);

      expect(losses.wrong).toEqual([]);
      lost += losses.lost;
    }
    expect(lost).toBeGreaterThan(1000);
  });
});

describe("what the kernel's rules promise, on any generated machine", () => {
  const rules = rulesForKernel("6.12");
  const fabric = fc
    .record({
      seed: fc.nat(),
      endpoints: fc.integer({ min: 1, max: 20 }),
      switchLevels: fc.integer({ min: 0, max: 4 }),
      functions: fc.constant([1, 3] as const),
      virtualFunctionChance: fc.constantFrom(0, 0.4),
      acsChance: fc.constantFrom(0.3, 1),
      redirectChance: fc.constantFrom(0, 0.1, 0.5),
    })
    .map((options) => forwardingUp(generateFabric(options)));

  const dma = fc.constantFrom("direct" as const, "iommu" as const);

  it("every BAR is reached by the processors", () => {
    fc.assert(
      fc.property(fabric, (topology) => {
        expect(createMachine({ topology }).inspect.unreachableBars()).toEqual([]);
      }),
    );
  });

  it("every bus-addr and host-bridge pair moves every byte when the root complex forwards, whatever the bus offsets, translated or not", () => {
    fc.assert(
      fc.property(fabric, fc.constantFrom(0, 2 ** 40), dma, (topology, step, platform) => {
        const offsets = topology.rootBuses.map(({ id }, index) => [id, index * step] as const);
        const busOffset = Object.fromEntries(offsets);
        const bench = startBench(topology, "forwards", busOffset, { dma: platform });

        expect(brokenPromises(bench, rules, ["bus-addr", "host-bridge"])).toEqual([]);
        expect(bench.platform.machine.inspect.faultCount).toBe(0);
      }),
    );
  });

  it("bus-addr pairs need no root complex, and all others lose what goes through it", () => {
    fc.assert(
      fc.property(fabric, (topology) => {
        const bench = startBench(topology, "none");

        expect(brokenPromises(bench, rules, ["bus-addr"])).toEqual([]);
        expect(ignoreVerdicts(bench, rules).wrong).toEqual([]);
      }),
    );
  });
});

describe("where hardware breaks the promise", () => {
  it("a redirect below a port without upstream forwarding is the end of the request or its completion", async () => {
    const reasons = async (name: string) => {
      const bench = startBench(await readCapture(`${CAPTURES}${name}`), "forwards");
      const broken = brokenPromises(bench, rulesForKernel("6.12"), ["host-bridge"]);
      const seen = bench.platform.machine.inspect.recentFaults().map(({ reason }) => reason);
      return { broken: broken.length, reasons: [...new Set(seen)].sort() };
    };

    expect(await reasons("nested-08")).toEqual({
      broken: 14,
      reasons: ["ACS_NOT_FORWARDED", "COMPLETION_LOST"],
    });
    // Requests go straight to the peer, and only the completions are redirected.
    expect(await reasons("multifn-06")).toEqual({ broken: 12, reasons: ["COMPLETION_LOST"] });
  });

  it("egress control without redirect blocks a pair that the rules send through the host bridge", () => {
    const topology = generateFabric({
      seed: 1,
      endpoints: 4,
      rootPorts: [1, 1],
      switchPorts: [4, 4],
      switchLevels: 1,
      switchChance: 1,
      functions: [1, 1],
      virtualFunctionChance: 0,
      integratedChance: 0,
      hostFunctionChance: 1,
      hostIds: [[0x8086, 0x09a2]],
      acs: (role) =>
        role === "switch-downstream"
          ? { capability: 0x0820, control: ACS.EC, egressVector: Uint8Array.of(0xff) }
          : "absent",
    });
    const bench = startBench(topology, "forwards");

    const broken = brokenPromises(bench, rulesForKernel("6.12"), ["host-bridge"]);

    expect(broken).toHaveLength(12);
    expect(bench.platform.machine.inspect.recentFaults()[0]).toMatchObject({
      reason: "ACS_BLOCKED",
    });
  });
});
