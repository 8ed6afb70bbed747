/**
 * The IOMMU as devices, drivers and harness meet it: through the platform's DMA layer and the fabric.
 */
import {
  type DmaRequest,
  PAGE_BYTES,
  type PhysicalAddress,
  PhysicalRanges,
  type SegmentList,
  UNLIMITED,
} from "@peerbuf/core";
import {
  createMachine,
  createModelledPlatform,
  type DmaPlatform,
  type MachineOptions,
  type ModelledPlatform,
  type PlatformOptions,
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

const CLIENT = "0000:03:00.0";
const PEER = "0000:04:00.0";
/** Below another root port. */
const OTHER = "0000:06:00.0";
const RAM = 2 * MIB;
const FOUR_GIB = 2 ** 32;

function start(
  options: PlatformOptions = { dma: "iommu" },
  topology: Topology = switchTopology(),
  machineOptions: Partial<MachineOptions> = {},
) {
  const machine = createMachine({ topology, memoryBytesPerNode: 64 * MIB, ...machineOptions });
  const devices = new Map<string, MemoryDevice>();
  for (const row of topology.endpoints) {
    const device = new MemoryDevice();
    machine.place(topology.bdfOf(row), device);
    devices.set(topology.bdfOf(row), device);
  }
  const platform = createModelledPlatform(machine, options);
  const port = (bdf = CLIENT) => (devices.get(bdf) as MemoryDevice).port;
  return { machine, platform, port };
}

const request = (platform: ModelledPlatform, change: Partial<DmaRequest>): DmaRequest => ({
  client: change.client ?? platform.device(CLIENT),
  ranges: at(RAM, 2 * PAGE_BYTES),
  provider: undefined,
  route: "system",
  direction: "bidirectional",
  limits: UNLIMITED,
  ...change,
});

const at = (start: number, lengthBytes: number): PhysicalRanges =>
  PhysicalRanges.of(start as PhysicalAddress, lengthBytes);

const scattered = (...starts: readonly number[]): PhysicalRanges =>
  new PhysicalRanges(Float64Array.from(starts.flatMap((page) => [page, PAGE_BYTES])));

function map(platform: ModelledPlatform, change: Partial<DmaRequest> = {}): SegmentList {
  const made = platform.dma.map(request(platform, change));
  if ("answer" in made) {
    throw new Error(made.text);
  }
  return made;
}

const refusal = (platform: ModelledPlatform, change: Partial<DmaRequest>) =>
  platform.dma.map(request(platform, change));

const peer = (platform: ModelledPlatform, route: DmaRequest["route"]): Partial<DmaRequest> => ({
  ranges: at(barStart(4), PAGE_BYTES),
  provider: platform.device(PEER),
  route,
});

function byteAt({ machine }: ReturnType<typeof start>, physical: number): number {
  const found = new Uint8Array(1);
  machine.inspect.peek(physical, found);
  return found[0] as number;
}

const write = (bench: ReturnType<typeof start>, address: number, value: number, bdf = CLIENT) =>
  bench.port(bdf).write(address, Uint8Array.of(value), 0, 1).ok;

const read = (bench: ReturnType<typeof start>, address: number, bdf = CLIENT) => {
  const target = new Uint8Array(1);
  const { ok } = bench.port(bdf).read(address, target, 0, 1);
  return { ok, byte: target[0] };
};

describe("dma-iommu", () => {
  it("gives scattered pages as one segment of the device's own address space", () => {
    const bench = start();
    const pages = [RAM + 5 * PAGE_BYTES, RAM, RAM + 9 * PAGE_BYTES];
    const segments = map(bench.platform, { ranges: scattered(...pages) });
    const bytes = Uint8Array.from({ length: 3 * PAGE_BYTES }, (_, index) => 1 + (index >> 12));

    expect(segments.count).toBe(1);
    expect(segments.address(0)).not.toBe(pages[0]);
    expect(bench.port().write(segments.address(0), bytes, 0, bytes.length).ok).toBe(true);
    expect(pages.map((page) => [byteAt(bench, page), byteAt(bench, page + 4095)])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  it("merges up to the device's limits, and never crosses its boundary", () => {
    const { platform } = start();
    const ranges = at(RAM, 8 * PAGE_BYTES);
    const limits = { ...UNLIMITED, segmentBytesMax: 3 * PAGE_BYTES, boundaryBytes: 4 * PAGE_BYTES };
    const segments = map(platform, { ranges, limits });

    const lengths = Array.from({ length: segments.count }, (_, index) =>
      segments.lengthBytes(index),
    );
    expect(lengths).toEqual([3, 1, 3, 1].map((pages) => pages * PAGE_BYTES));
  });

  it("keeps the offset within the page, and starts anew where a range does not fill its pages", () => {
    const bench = start();
    const table = Float64Array.of(RAM + 100, 200, RAM + PAGE_BYTES, PAGE_BYTES);
    const segments = map(bench.platform, { ranges: new PhysicalRanges(table) });

    expect(segments.count).toBe(2);
    expect(segments.address(0) % PAGE_BYTES).toBe(100);
    expect(write(bench, segments.address(0) + 199, 7)).toBe(true);
    expect(byteAt(bench, RAM + 299)).toBe(7);
  });

  it("one request reaches what lies behind each other for the device, and in two banks of RAM", () => {
    const memoryBytesPerNode = [4 * MIB, 4 * MIB];
    const bench = start({ dma: "iommu" }, switchTopology(), { memoryBytesPerNode });
    const border = 5 * MIB;
    const ranges = at(border - PAGE_BYTES, 2 * PAGE_BYTES);
    const middle = map(bench.platform, { ranges }).address(0) + PAGE_BYTES;

    expect(bench.port().write(middle - 1, Uint8Array.of(1, 2), 0, 2).ok).toBe(true);
    expect([byteAt(bench, border - 1), byteAt(bench, border)]).toEqual([1, 2]);
  });

  it("bus addresses are no IOVAs: they take no address space and turn round below", () => {
    const bench = start();
    const segments = map(bench.platform, peer(bench.platform, "bus-addr"));

    expect([segments.address(0), segments.isBusAddress(0)]).toEqual([barStart(4), true]);
    expect(write(bench, barStart(4), 9)).toBe(true);
    expect(byteAt(bench, barStart(4))).toBe(9);
    expect(bench.machine.inspect.passedBytes("root complex")).toBe(0);
    bench.platform.dma.unmap(bench.platform.device(CLIENT), segments, "bidirectional");
    expect(bench.machine.handles().mappings).toBe(0);
  });

  it("memory behind the host bridge is an IOVA of the client's, and goes through the root complex", () => {
    const bench = start();
    const segments = map(bench.platform, peer(bench.platform, "host-bridge"));

    expect(segments.isBusAddress(0)).toBe(false);
    expect(segments.address(0)).not.toBe(barStart(4));
    expect(write(bench, segments.address(0), 5)).toBe(true);
    expect(byteAt(bench, barStart(4))).toBe(5);
    expect(bench.machine.inspect.passedBytes("root complex")).toBeGreaterThan(0);
  });

  it("gives addresses below 4 GiB while there are any, then up to the mask", () => {
    const { platform } = start();
    const ranges = at(barStart(4), 2 ** 30);
    const addresses = [1, 2, 3, 4, 5].map(() => map(platform, { ranges }).address(0));

    const low = addresses.filter((address) => address < FOUR_GIB);
    expect(low.length).toBeGreaterThan(0);
    expect(low.length).toBeLessThan(5);
    expect(addresses.slice(0, low.length)).toEqual(low);
  });

  it("stays within a narrow mask however high the memory lies, and says ENOMEM when that is full", () => {
    const { platform, machine } = start();
    const limits = { ...UNLIMITED, addressMax: 4 * PAGE_BYTES - 1 };

    expect(map(platform, { limits }).address(0)).toBe(2 * PAGE_BYTES);
    expect(refusal(platform, { limits })).toMatchObject({
      errno: "ENOMEM",
      code: "IOVA_EXHAUSTED",
    });
    expect(machine.handles().mappings).toBe(1);
  });

  it("says EINVAL to other limits, EREMOTEIO to peers that cannot be, and takes nothing", () => {
    const { platform, machine } = start();
    const limits = { ...UNLIMITED, segmentBytesMax: PAGE_BYTES, segmentCountMax: 1 };
    const narrow = { ...UNLIMITED, addressMax: 4 * PAGE_BYTES - 1 };
    const unable = start({ dma: "iommu", peerToPeer: false });

    for (const addressMax of [limits.addressMax, narrow.addressMax]) {
      expect(refusal(platform, { limits: { ...limits, addressMax } })).toMatchObject({
        errno: "EINVAL",
        code: "SEGMENT_COUNT",
      });
    }
    expect(refusal(platform, { ...peer(platform, "bus-addr"), limits: narrow })).toMatchObject({
      errno: "EINVAL",
      code: "ADDRESS_ABOVE_MASK",
    });
    expect(refusal(unable.platform, peer(unable.platform, "host-bridge"))).toMatchObject({
      errno: "EREMOTEIO",
    });
    expect(machine.handles().mappings).toBe(0);
    // The address space that was tried is free again.
    expect(map(platform, { limits: narrow }).count).toBe(1);
  });

  it("keeps out of the windows of the host bridge, where an IOVA would turn round below it", () => {
    const { platform } = start();
    const addresses = [1, 2, 3].map(() =>
      map(platform, { ranges: at(barStart(4), 2 ** 29) }).address(0),
    );

    const windows: readonly (readonly [number, number])[] = [
      [barStart(1), barStart(7)],
      [0xfee0_0000, 0xfef0_0000],
    ];
    for (const address of addresses) {
      expect(windows.some(([from, to]) => address < to && from < address + 2 ** 29)).toBe(false);
    }
  });

  it("refuses to unmap what is not mapped so, and changes nothing", () => {
    const bench = start();
    const { platform } = bench;
    const segments = map(platform, { direction: "to-device" });
    const closed = expect.objectContaining({ code: "HANDLE_CLOSED" });

    expect(() => platform.dma.unmap(platform.device(CLIENT), segments, "from-device")).toThrow(
      closed,
    );
    expect(() => platform.dma.unmap(platform.device(PEER), segments, "to-device")).toThrow(closed);
    expect(read(bench, segments.address(0)).ok).toBe(true);
    platform.dma.unmap(platform.device(CLIENT), segments, "to-device");
    expect(() => platform.dma.unmap(platform.device(CLIENT), segments, "to-device")).toThrow(
      closed,
    );
  });
});

describe("IOMMU faults", () => {
  it("say who, where and why, hurt nobody and are counted", () => {
    const bench = start();
    const segments = map(bench.platform, { direction: "to-device" });
    const address = segments.address(0);
    const { inspect } = bench.machine;

    expect(read(bench, address - PAGE_BYTES)).toEqual({ ok: false, byte: 0xff });
    expect(write(bench, address, 3)).toBe(false);
    expect(read(bench, address, OTHER)).toEqual({ ok: false, byte: 0xff });

    const common = { lengthBytes: 1, at: "iommu" };
    expect(inspect.recentFaults()).toMatchObject([
      {
        ...common,
        requester: CLIENT,
        address: address - PAGE_BYTES,
        kind: "read",
        reason: "IOMMU_NOT_PRESENT",
      },
      { ...common, requester: CLIENT, address, kind: "write", reason: "IOMMU_PERMISSION" },
      { ...common, requester: OTHER, address, kind: "read", reason: "IOMMU_NO_DOMAIN" },
    ]);
    expect(byteAt(bench, RAM)).toBe(0);
    expect(inspect.traffic(CLIENT).lostBytes).toBe(2);
  });

  it("are one for a request, however many pages it touches", () => {
    const bench = start();
    map(bench.platform);

    bench.port().read(RAM, new Uint8Array(3 * PAGE_BYTES), 0, 3 * PAGE_BYTES);

    expect(bench.machine.inspect.recentFaults()).toMatchObject([
      { address: RAM, lengthBytes: 3 * PAGE_BYTES, reason: "IOMMU_NOT_PRESENT" },
    ]);
  });

  it("take only the part of a request that is not mapped", () => {
    const bench = start();
    const end = map(bench.platform).address(0) + 2 * PAGE_BYTES;
    bench.machine.inspect.poke(RAM + 2 * PAGE_BYTES - 2, Uint8Array.of(1, 2, 3, 4));
    const target = new Uint8Array(4);

    expect(bench.port().read(end - 2, target, 0, 4)).toEqual({ ok: false, lostBytes: 2 });
    expect([...target]).toEqual([1, 2, 255, 255]);
  });

  it("a physical address means nothing, and the processors are not translated", () => {
    const bench = start();
    map(bench.platform);

    expect(write(bench, RAM, 1)).toBe(false);
    expect(bench.machine.inspect.unreachableBars()).toEqual([]);
  });

  it("a trace shows where the request is translated, or faults, and fills no IOTLB", () => {
    const bench = start({ dma: "iommu-lazy" });
    const segments = map(bench.platform);
    const trace = () => bench.machine.inspect.trace(CLIENT, segments.address(0), "read");

    expect(trace()).toMatchObject({ arrivesAt: { kind: "ram", node: 0 }, loss: undefined });
    expect(trace().hops.at(-1)).toEqual({ at: "root complex", event: "translated" });
    bench.platform.dma.unmap(bench.platform.device(CLIENT), segments, "bidirectional");
    expect(trace().hops.at(-1)).toEqual({ at: "root complex", event: "faulted" });
    expect(trace().loss).toBe("IOMMU_NOT_PRESENT");
  });
});

describe("domains", () => {
  it("each function has its own: one's mapping is of no use to another", () => {
    const bench = start();
    const address = map(bench.platform).address(0);
    const other = map(bench.platform, {
      client: bench.platform.device(OTHER),
      ranges: at(RAM + 8 * PAGE_BYTES, 2 * PAGE_BYTES),
    }).address(0);

    expect(other).toBe(address);
    write(bench, address, 1);
    write(bench, address, 2, OTHER);
    expect([byteAt(bench, RAM), byteAt(bench, RAM + 8 * PAGE_BYTES)]).toEqual([1, 2]);
  });

  it("functions behind a bridge to conventional PCI share one: nobody can tell them apart", () => {
    const topology = buildTopology("conventional", [
      bridge("0000:00:01.0", PORT_TYPE.ROOT_PORT, [1, 2]),
      bridge("0000:01:00.0", PORT_TYPE.PCIE_TO_PCI, [2, 2]),
      endpoint("0000:02:00.0", { portType: -1 }),
      endpoint("0000:02:00.1", { portType: -1 }),
    ]);
    const bench = start({ dma: "iommu" }, topology);
    const address = map(bench.platform, {
      client: bench.platform.device("0000:02:00.0"),
    }).address(0);

    expect(write(bench, address, 4, "0000:02:00.1")).toBe(true);
    expect(byteAt(bench, RAM)).toBe(4);
  });

  it("a bus offset is the fabric's: an IOVA is not moved by it", () => {
    const busOffset = { "0000:00": 0x10_0000_0000 };
    const bench = start({ dma: "iommu" }, switchTopology(), { busOffset });
    const address = map(bench.platform).address(0);

    expect(address).toBeLessThan(FOUR_GIB);
    expect(write(bench, address, 6)).toBe(true);
    expect(byteAt(bench, RAM)).toBe(6);
  });
});

describe("invalidation", () => {
  const unmapAll = (bench: ReturnType<typeof start>, segments: SegmentList) =>
    bench.platform.dma.unmap(bench.platform.device(CLIENT), segments, "bidirectional");

  it("strict: the next access after unmap faults", () => {
    const bench = start();
    const segments = map(bench.platform);
    expect(read(bench, segments.address(0)).ok).toBe(true);

    unmapAll(bench, segments);

    expect(read(bench, segments.address(0)).ok).toBe(false);
    expect(bench.machine.clock.pendingCount).toBe(0);
  });

  it("lazy: what hardware remembers works until the flush after 10 ms, and never after", () => {
    const bench = start({ dma: "iommu-lazy" });
    const segments = map(bench.platform);
    const [known, unknown] = [segments.address(0), segments.address(0) + PAGE_BYTES];
    write(bench, known, 1);

    unmapAll(bench, segments);

    bench.machine.clock.runUntil(9_999_999);
    expect(write(bench, known, 2)).toBe(true);
    expect(write(bench, unknown, 2)).toBe(false);
    bench.machine.clock.runUntil(10_000_000);
    expect(write(bench, known, 3)).toBe(false);
    expect(byteAt(bench, RAM)).toBe(2);
  });

  it("lazy: a full queue is flushed at once", () => {
    const bench = start({ dma: "iommu-lazy", flushQueue: { entriesMax: 2 } });
    const first = map(bench.platform);
    const second = map(bench.platform);
    write(bench, first.address(0), 1);

    unmapAll(bench, first);
    expect(write(bench, first.address(0), 2)).toBe(true);
    unmapAll(bench, second);
    expect(write(bench, first.address(0), 3)).toBe(false);
    expect(bench.machine.clock.pendingCount).toBe(0);
  });

  it("lazy: a stale address is not given out again before the flush, unless there is no other", () => {
    const bench = start({ dma: "iommu-lazy" });
    const limits = { ...UNLIMITED, addressMax: 8 * PAGE_BYTES - 1 };
    const first = map(bench.platform, { limits });
    write(bench, first.address(0), 1);
    unmapAll(bench, first);

    const second = map(bench.platform, { limits });
    expect(second.address(0)).not.toBe(first.address(0));
    map(bench.platform, { limits });
    // The only room left was stale: it was flushed first.
    const elsewhere = at(RAM + 8 * PAGE_BYTES, 2 * PAGE_BYTES);
    const last = map(bench.platform, { limits, ranges: elsewhere });
    expect(last.address(0)).toBe(first.address(0));
    write(bench, last.address(0), 8);
    expect([byteAt(bench, RAM), byteAt(bench, RAM + 8 * PAGE_BYTES)]).toEqual([1, 8]);
  });
});

describe("in the field", () => {
  const redirecting = switchTopology({ "0000:02:00.0": acs(ACS.RR) });
  const pass = (dma: DmaPlatform, topology = redirecting) =>
    start({ dma }, topology, { rootComplex: "forwards" });

  it("a redirect sends a bus address up to an IOMMU that does not map the peer: it faults", () => {
    const bench = pass("iommu");
    map(bench.platform);
    const address = map(bench.platform, peer(bench.platform, "bus-addr")).address(0);

    expect(write(bench, address, 1)).toBe(false);
    expect(bench.machine.inspect.recentFaults()).toMatchObject([
      { requester: CLIENT, address: barStart(4), reason: "IOMMU_NOT_PRESENT" },
    ]);
    expect(byteAt(bench, barStart(4))).toBe(0);
  });

  it("the same with the mapping that the redirect calls for arrives", () => {
    const bench = pass("iommu");
    const address = map(bench.platform, peer(bench.platform, "host-bridge")).address(0);

    expect(write(bench, address, 2)).toBe(true);
    expect(byteAt(bench, barStart(4))).toBe(2);
  });

  it("the same in pass-through with a root complex that forwards arrives", () => {
    const bench = pass("pass-through");
    const address = map(bench.platform, peer(bench.platform, "bus-addr")).address(0);

    expect(write(bench, address, 3)).toBe(true);
    expect(byteAt(bench, barStart(4))).toBe(3);
    expect(bench.machine.inspect.passedBytes("root complex")).toBe(1);
  });

  it("a translated request for a peer still needs a root complex that forwards it", () => {
    const bench = start({ dma: "iommu" }, switchTopology(), { rootComplex: "writes-only" });
    const address = map(bench.platform, peer(bench.platform, "host-bridge")).address(0);

    expect(write(bench, address, 4)).toBe(true);
    expect(read(bench, address)).toEqual({ ok: false, byte: 0xff });
    expect(bench.machine.inspect.recentFaults()).toMatchObject([
      { requester: CLIENT, address, reason: "ROOT_COMPLEX_DROPS", at: "root complex" },
    ]);
  });

  it("without ACS a device reaches its neighbour's BAR unmapped: the IOMMU never sees it", () => {
    const bench = pass("iommu", switchTopology());

    expect(write(bench, barStart(4), 4)).toBe(true);
    expect(byteAt(bench, barStart(4))).toBe(4);
  });

  describe("a root complex that corrupts until pass-through", () => {
    const BYTES = Uint8Array.from({ length: 64 }, (_, index) => index + 1);

    /** What stands in the peer's BAR after a write, and what the client reads of the same bytes. */
    function exchange(dma: DmaPlatform, route: "host-bridge" | "bus-addr", seed = 1) {
      const options = { rootComplex: "corrupts-until-pass-through", seed } as const;
      const bench = start({ dma }, switchTopology(), options);
      // Below another root port, or below the same switch.
      const bar = barStart(route === "host-bridge" ? 6 : 4);
      const ranges = at(bar, PAGE_BYTES);
      const address = map(bench.platform, { ...peer(bench.platform, route), ranges }).address(0);
      const { inspect } = bench.machine;
      const arrived = new Uint8Array(64);
      const seen = new Uint8Array(64);
      expect(bench.port().write(address, BYTES, 0, 64).ok).toBe(true);
      inspect.peek(bar, arrived);
      inspect.poke(bar, BYTES);
      expect(bench.port().read(address, seen, 0, 64).ok).toBe(true);
      return { arrived: [...arrived], seen: [...seen] };
    }
    const whole = { arrived: [...BYTES], seen: [...BYTES] };
    const changed = (bytes: readonly number[]) =>
      bytes.filter((byte, index) => byte !== BYTES[index]).length;

    it("changes peers' bytes while an IOMMU translates, a few and always the same", () => {
      const { arrived, seen } = exchange("iommu", "host-bridge");

      expect([changed(arrived), changed(seen)]).toEqual([4, 4]);
      expect(exchange("iommu", "host-bridge")).toEqual({ arrived, seen });
      expect(exchange("iommu", "host-bridge", 2)).not.toEqual({ arrived, seen });
    });

    it("leaves them alone in pass-through, and what turns round below it always", () => {
      expect(exchange("pass-through", "host-bridge")).toEqual(whole);
      expect(exchange("direct", "host-bridge")).toEqual(whole);
      expect(exchange("iommu", "bus-addr")).toEqual(whole);
    });

    it("leaves system memory alone", () => {
      const rootComplex = "corrupts-until-pass-through";
      const bench = start({ dma: "iommu" }, switchTopology(), { rootComplex });
      const address = map(bench.platform).address(0);
      bench.port().write(address, BYTES, 0, 64);
      const arrived = new Uint8Array(64);
      bench.machine.inspect.peek(RAM, arrived);

      expect([...arrived]).toEqual([...BYTES]);
    });
  });
});

describe("a platform with an IOMMU", () => {
  it("has the machine's IOMMU to itself until it is closed; then devices are not translated", () => {
    const bench = start();
    map(bench.platform);
    expect(write(bench, RAM, 1)).toBe(false);
    expect(() => createModelledPlatform(bench.machine, { dma: "iommu" })).toThrow(
      expect.objectContaining({ code: "WRONG_ORDER" }),
    );

    bench.platform.close();

    expect(write(bench, RAM, 1)).toBe(true);
    const next = createModelledPlatform(bench.machine, { dma: "iommu-lazy" });
    expect(write(bench, RAM, 1)).toBe(false);
    next.close();
  });

  it("needs no guard, and takes one that is asked for", () => {
    const bench = start({ dma: "iommu", guard: true });
    const segments = map(bench.platform, peer(bench.platform, "bus-addr"));
    bench.platform.dma.unmap(bench.platform.device(CLIENT), segments, "bidirectional");

    expect(write(bench, barStart(4), 1)).toBe(false);
    expect(bench.platform.guardFaults).toBe(1);
    expect(start().platform.guardFaults).toBe(0);
  });

  it("refuses a DMA platform that there is not", () => {
    const dma = JSON.parse('"warp"') as DmaPlatform;

    expect(() => start({ dma })).toThrow(/no DMA platform "warp"/);
  });

  it("refuses a queue of flushes that would never flush", () => {
    for (const flushQueue of [{ entriesMax: 0 }, { entriesMax: Number.NaN }, { timeoutNs: -1 }]) {
      expect(() => start({ dma: "iommu-lazy", flushQueue })).toThrow("no limits of a queue");
    }
  });

  it("names its layer for the record", () => {
    const names = (["direct", "iommu", "iommu-lazy", "pass-through"] as const).map(
      (dma) => start({ dma }).platform.dma.name,
    );

    expect(names).toEqual(["dma-direct", "dma-iommu", "dma-iommu", "pass-through"]);
  });
});
