import {
  DEVICE_DMA,
  type DeviceDma,
  type DmaLimits,
  type DmaRequest,
  HOST_MEMORY,
  PAGE_BYTES,
  type PhysicalAddress,
  PhysicalRanges,
  type SegmentList,
  type ServiceRegistry,
  UNLIMITED,
} from "@peerbuf/core";
import {
  createMachine,
  createModelledPlatform,
  type MachineOptions,
  type ModelledPlatform,
  type PlatformOptions,
} from "@peerbuf/machine";
import fc from "fast-check";
import type { Token } from "typedi";
import { describe, expect, it } from "vitest";
import { barStart, MemoryDevice, MIB, switchTopology, tinyTopology } from "./small-machines.ts";

const CLIENT = "0000:03:00.0";
const PEER = "0000:04:00.0";
const OFFSET = 0x10_0000_0000;

function start(
  options: PlatformOptions = {},
  machineOptions: Omit<MachineOptions, "topology"> = {},
) {
  const machine = createMachine({
    topology: switchTopology(),
    memoryBytesPerNode: 64 * MIB,
    ...machineOptions,
  });
  const device = new MemoryDevice();
  machine.place(CLIENT, device);
  machine.place(PEER, new MemoryDevice());
  const platform = createModelledPlatform(machine, options);
  return { machine, platform, port: () => device.port };
}

const request = (platform: ModelledPlatform, change: Partial<DmaRequest>): DmaRequest => ({
  client: platform.device(CLIENT),
  ranges: PhysicalRanges.of((2 * MIB) as PhysicalAddress, 2 * PAGE_BYTES),
  provider: undefined,
  route: "system",
  direction: "bidirectional",
  limits: UNLIMITED,
  ...change,
});

const peerRequest = (platform: ModelledPlatform, route: DmaRequest["route"]): DmaRequest =>
  request(platform, {
    ranges: PhysicalRanges.of(barStart(4) as PhysicalAddress, PAGE_BYTES),
    provider: platform.device(PEER),
    route,
  });

function mapped(platform: ModelledPlatform, wanted: DmaRequest): SegmentList {
  const made = platform.dma.map(wanted);
  if ("answer" in made) {
    throw new Error(made.text);
  }
  return made;
}

const rows = (segments: SegmentList): number[] => [...segments.table];

/** What a driver's container does, as far as these tests need it. */
function services(): ServiceRegistry & { get<T>(token: Token<T>): T } {
  const found = new Map<unknown, unknown>();
  return {
    set: (token, service) => void found.set(token, service),
    get: <T>(token: Token<T>) => found.get(token) as T,
  };
}

describe("dma-direct", () => {
  it("gives physical addresses for RAM, one segment for contiguous memory", () => {
    const { platform } = start();

    expect(rows(mapped(platform, request(platform, {})))).toEqual([2 * MIB, 2 * PAGE_BYTES, 0]);
  });

  it("marks bus addresses, and treats memory behind the host bridge like RAM", () => {
    const { platform } = start();

    expect(rows(mapped(platform, peerRequest(platform, "bus-addr")))).toEqual([
      barStart(4),
      PAGE_BYTES,
      1,
    ]);
    expect(rows(mapped(platform, peerRequest(platform, "host-bridge")))).toEqual([
      barStart(4),
      PAGE_BYTES,
      0,
    ]);
  });

  it("adds the host bridge's offset, with which the bytes arrive", () => {
    const { platform, port, machine } = start({}, { busOffset: { "0000:00": OFFSET } });
    const ram = mapped(platform, request(platform, {}));
    const peer = mapped(platform, peerRequest(platform, "bus-addr"));

    expect([ram.address(0), peer.address(0)]).toEqual([2 * MIB + OFFSET, barStart(4) + OFFSET]);
    port().write(ram.address(0), Uint8Array.of(7), 0, 1);
    port().write(peer.address(0), Uint8Array.of(8), 0, 1);
    const found = new Uint8Array(1);
    machine.inspect.peek(2 * MIB, found);
    expect(found[0]).toBe(7);
    machine.inspect.peek(barStart(4), found);
    expect(found[0]).toBe(8);
  });

  it("cuts at the device's limits", () => {
    const { platform } = start();
    const limits: DmaLimits = { ...UNLIMITED, segmentBytesMax: PAGE_BYTES };

    expect(rows(mapped(platform, request(platform, { limits })))).toEqual([
      2 * MIB,
      PAGE_BYTES,
      0,
      2 * MIB + PAGE_BYTES,
      PAGE_BYTES,
      0,
    ]);
  });

  it("refuses what lies above the mask with EIO, and other limits with EINVAL, taking nothing", () => {
    const { platform, machine } = start();
    const refusal = (limits: Partial<DmaLimits>) =>
      platform.dma.map(request(platform, { limits: { ...UNLIMITED, ...limits } }));

    expect(refusal({ addressMax: MIB })).toMatchObject({
      errno: "EIO",
      code: "ADDRESS_ABOVE_MASK",
    });
    expect(refusal({ alignmentBytes: 8 * MIB })).toMatchObject({
      errno: "EINVAL",
      code: "ALIGNMENT",
    });
    expect(refusal({ segmentBytesMax: PAGE_BYTES, segmentCountMax: 1 })).toMatchObject({
      errno: "EINVAL",
      code: "SEGMENT_COUNT",
    });
    expect(machine.handles().mappings).toBe(0);
  });

  it("refuses peer memory with EREMOTEIO on a platform whose DMA operations do not know it", () => {
    const { platform } = start({ peerToPeer: false });

    for (const route of ["bus-addr", "host-bridge"] as const) {
      expect(platform.dma.map(peerRequest(platform, route))).toMatchObject({
        answer: "refused",
        errno: "EREMOTEIO",
      });
    }
    expect(mapped(platform, request(platform, {})).count).toBe(1);
  });

  it("refuses a bus address of nobody, and a client of another machine", () => {
    const { platform } = start();
    const stranger = createModelledPlatform(createMachine({ topology: tinyTopology() }));

    expect(platform.dma.map(request(platform, { route: "bus-addr" }))).toMatchObject({
      errno: "EINVAL",
      code: "PROVIDER_MISSING",
    });
    expect(() =>
      platform.dma.map(request(platform, { client: stranger.device("0000:00:04.0") })),
    ).toThrow(expect.objectContaining({ code: "DEVICE_UNKNOWN" }));
  });

  it("counts mappings until they are given back", () => {
    const { platform, machine } = start();
    const segments = mapped(platform, request(platform, {}));
    expect(machine.handles().mappings).toBe(1);

    platform.dma.unmap(platform.device(CLIENT), segments, "bidirectional");

    expect(machine.handles().mappings).toBe(0);
  });
});

describe("dma guard", () => {
  it("a DMA after unmap faults, hurts nobody, and says who and where", () => {
    const { platform, machine, port } = start();
    const client = platform.device(CLIENT);
    const segments = mapped(platform, request(platform, {}));
    port().write(segments.address(0), Uint8Array.of(1), 0, 1);
    platform.dma.unmap(client, segments, "bidirectional");

    const read = new Uint8Array(1);
    expect(port().write(segments.address(0), Uint8Array.of(2), 0, 1).ok).toBe(false);
    expect(port().read(segments.address(0), read, 0, 1).ok).toBe(false);

    const found = new Uint8Array(1);
    machine.inspect.peek(2 * MIB, found);
    expect([found[0], read[0]]).toEqual([1, 0xff]);
    expect(platform.guardFaults).toBe(2);
    expect(machine.inspect.recentFaults()[0]).toMatchObject({
      requester: CLIENT,
      address: 2 * MIB,
      reason: "NOT_MAPPED",
      at: "guard",
    });
    expect(machine.inspect.traffic(CLIENT).requests).toBe(1);
  });

  it("holds a device to its own mappings, and to their direction", () => {
    const { platform, port } = start();
    const other = mapped(platform, request(platform, { client: platform.device("0000:05:00.0") }));
    expect(port().read(other.address(0), new Uint8Array(1), 0, 1).ok).toBe(false);

    const segments = mapped(platform, request(platform, { direction: "to-device" }));
    expect(port().read(segments.address(0), new Uint8Array(1), 0, 1).ok).toBe(true);
    expect(port().write(segments.address(0), new Uint8Array(1), 0, 1).ok).toBe(false);
  });

  it("lets through what is mapped of an access over the edge, and keeps out the rest", () => {
    const { platform, port, machine } = start();
    const segments = mapped(platform, request(platform, {}));
    const end = segments.address(0) + 2 * PAGE_BYTES;
    machine.inspect.poke(end - 2, Uint8Array.of(1, 2, 3, 4));
    const read = new Uint8Array(4);

    expect(port().read(end - 2, read, 0, 4)).toEqual({ ok: false, lostBytes: 2 });

    expect([...read]).toEqual([1, 2, 255, 255]);
  });

  it("keeps a buffer that is mapped twice reachable until both are gone", () => {
    const { platform, port } = start();
    const client = platform.device(CLIENT);
    const first = mapped(platform, request(platform, {}));
    const second = mapped(platform, request(platform, {}));
    const tryRead = () => port().read(2 * MIB, new Uint8Array(8), 0, 8).ok;

    platform.dma.unmap(client, first, "bidirectional");
    expect(tryRead()).toBe(true);
    platform.dma.unmap(client, second, "bidirectional");
    expect(tryRead()).toBe(false);
  });

  it("refuses to unmap what is not mapped, and changes nothing", () => {
    const { platform, machine } = start();
    const client = platform.device(CLIENT);
    const segments = mapped(platform, request(platform, { direction: "to-device" }));
    const closed = expect.objectContaining({ code: "HANDLE_CLOSED" });

    expect(() => platform.dma.unmap(client, segments, "from-device")).toThrow(closed);
    expect(machine.handles().mappings).toBe(1);
    platform.dma.unmap(client, segments, "to-device");
    expect(() => platform.dma.unmap(client, segments, "to-device")).toThrow(closed);
  });

  it("can be left out: then a DMA after unmap corrupts memory, as on real hardware", () => {
    const { platform, machine, port } = start({ guard: false });
    const segments = mapped(platform, request(platform, {}));
    platform.dma.unmap(platform.device(CLIENT), segments, "bidirectional");

    port().write(2 * MIB, Uint8Array.of(66), 0, 1);

    const found = new Uint8Array(1);
    machine.inspect.peek(2 * MIB, found);
    expect(found[0]).toBe(66);
  });

  it("guards devices placed after the platform was made, until it is closed", () => {
    const { platform, machine } = start();
    const late = new MemoryDevice();
    machine.place("0000:05:00.0", late);

    expect(late.port.write(2 * MIB, Uint8Array.of(1), 0, 1).ok).toBe(false);
    platform.close();
    expect(late.port.write(2 * MIB, Uint8Array.of(1), 0, 1).ok).toBe(true);
  });

  it("allows exactly the bytes of the live mappings, whatever is mapped and unmapped", () => {
    const PAGES = 12;
    const base = 2 * MIB;
    const step = fc.record({
      page: fc.integer({ min: 0, max: PAGES - 1 }),
      count: fc.integer({ min: 1, max: 4 }),
      unmap: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const { platform, port } = start();
        const client = platform.device(CLIENT);
        const live: { segments: SegmentList; page: number; count: number }[] = [];
        for (const { page, count, unmap } of steps) {
          if (unmap !== null && live.length > 0) {
            const [gone] = live.splice(unmap % live.length, 1);
            platform.dma.unmap(client, gone?.segments as SegmentList, "bidirectional");
          }
          const start = (base + page * PAGE_BYTES) as PhysicalAddress;
          const ranges = PhysicalRanges.of(start, count * PAGE_BYTES);
          live.push({ segments: mapped(platform, request(platform, { ranges })), page, count });
        }
        const all = new Uint8Array((PAGES + 4) * PAGE_BYTES);
        port().read(base, all, 0, all.length);
        for (let page = 0; page < PAGES + 4; page++) {
          const isLive = live.some((one) => page >= one.page && page < one.page + one.count);
          expect(all[page * PAGE_BYTES]).toBe(isLive ? 0 : 0xff);
          expect(all[(page + 1) * PAGE_BYTES - 1]).toBe(isLive ? 0 : 0xff);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("a device's own DMA", () => {
  function open(options: PlatformOptions = {}) {
    const bench = start(options);
    const registry = services();
    bench.platform.provide(bench.platform.device(CLIENT), registry);
    return {
      ...bench,
      dma: registry.get(DEVICE_DMA) as DeviceDma,
      memory: registry.get(HOST_MEMORY),
    };
  }

  it("refuses limits of a device that no engine has", () => {
    expect(() => open({ limits: { [CLIENT]: { ...UNLIMITED, segmentBytesMax: 0 } } })).toThrow(
      "segmentBytesMax is 0",
    );
  });

  it("coherent memory is seen by both sides and given back whole", () => {
    const { dma, port, machine } = open();
    const before = machine.handles();
    const ring = dma.allocateCoherent(100);
    expect(ring.sizeBytes).toBe(PAGE_BYTES);

    ring.write(8, Uint8Array.of(1, 2));
    const seen = new Uint8Array(2);
    port().read(ring.deviceAddress + 8, seen, 0, 2);
    port().write(ring.deviceAddress + 8, Uint8Array.of(3), 0, 1);
    const found = new Uint8Array(2);
    ring.read(8, found);

    expect([...seen, ...found]).toEqual([1, 2, 3, 2]);
    expect(machine.handles()).toEqual({
      mappings: 1,
      coherent: 1,
      hostAllocations: 1,
      hostPages: 1,
      interruptHandlers: 0,
    });
    dma.freeCoherent(ring);
    expect(machine.handles()).toEqual(before);
    const closed = expect.objectContaining({ code: "HANDLE_CLOSED" });
    expect(() => dma.freeCoherent(ring)).toThrow(closed);
    expect(() => ring.read(0, found)).toThrow(closed);
    expect(port().write(ring.deviceAddress, Uint8Array.of(3), 0, 1).ok).toBe(false);
  });

  it("refuses coherent memory that the device cannot reach, and keeps nothing", () => {
    const { dma, machine } = open({ limits: { [CLIENT]: { ...UNLIMITED, addressMax: 0xffff } } });

    expect(() => dma.allocateCoherent(PAGE_BYTES)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED", errno: "ENOMEM" }),
    );
    expect(machine.handles()).toMatchObject({ mappings: 0, coherent: 0, hostPages: 0 });
  });

  it("maps host memory for its own use, and gives it back", () => {
    const { dma, memory, machine } = open();
    const pages = memory.allocate(2 * PAGE_BYTES);
    const segments = dma.map(pages.ranges, "to-device") as SegmentList;

    expect(segments.sizeBytes).toBe(2 * PAGE_BYTES);
    dma.unmap(segments, "to-device");
    memory.free(pages);

    expect(machine.handles()).toMatchObject({ mappings: 0, hostPages: 0 });
  });
});
