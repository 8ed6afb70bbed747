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
  type ModelledPlatform,
  type SwiotlbOptions,
} from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BOUNCE_BYTES_MAX, BouncePool, SLOT_BYTES } from "../src/bounce-pool.ts";
import { barStart, MemoryDevice, MIB, switchTopology } from "./small-machines.ts";

const CLIENT = "0000:03:00.0";
const PEER = "0000:04:00.0";
const RAM = 32 * MIB;

function start(swiotlb: SwiotlbOptions = { sharedBuffers: "bounce", poolBytes: MIB }) {
  const machine = createMachine({ topology: switchTopology(), memoryBytesPerNode: 64 * MIB });
  const device = new MemoryDevice();
  machine.place(CLIENT, device);
  machine.place(PEER, new MemoryDevice());
  const platform = createModelledPlatform(machine, { dma: "swiotlb", swiotlb });
  return { machine, platform, port: device.port };
}

const request = (platform: ModelledPlatform, change: Partial<DmaRequest>): DmaRequest => ({
  client: platform.device(CLIENT),
  ranges: at(RAM, PAGE_BYTES),
  provider: undefined,
  route: "system",
  direction: "bidirectional",
  limits: UNLIMITED,
  ...change,
});

const at = (start: number, lengthBytes: number): PhysicalRanges =>
  PhysicalRanges.of(start as PhysicalAddress, lengthBytes);

function map(platform: ModelledPlatform, change: Partial<DmaRequest> = {}): SegmentList {
  const made = platform.dma.map(request(platform, change));
  if ("answer" in made) {
    throw new Error(made.text);
  }
  return made;
}

function byteAt({ machine }: ReturnType<typeof start>, physical: number): number {
  const found = new Uint8Array(1);
  machine.inspect.peek(physical, found);
  return found[0] as number;
}

describe("swiotlb", () => {
  it("a bounced mapping is a copy: each side sees the other at map and unmap, and not in between", () => {
    const bench = start();
    const { platform, machine, port } = bench;
    machine.inspect.poke(RAM, Uint8Array.of(1, 2));
    const segments = map(platform);
    const address = segments.address(0);
    const seen = new Uint8Array(2);

    expect(address).not.toBe(RAM);
    machine.inspect.poke(RAM, Uint8Array.of(7));
    port.read(address, seen, 0, 2);
    expect([...seen]).toEqual([1, 2]);
    port.write(address, Uint8Array.of(3), 0, 1);
    expect(byteAt(bench, RAM)).toBe(7);
    platform.dma.unmap(platform.device(CLIENT), segments, "bidirectional");
    expect([byteAt(bench, RAM), byteAt(bench, RAM + 1)]).toEqual([3, 2]);
    expect(machine.handles()).toMatchObject({ mappings: 0, hostAllocations: 0, hostPages: 0 });
  });

  it("what a device only reads is not copied back; what it does not write comes back as it was", () => {
    const bench = start();
    const { platform, machine } = bench;
    const client = platform.device(CLIENT);
    machine.inspect.poke(RAM, Uint8Array.of(1));
    const reading = map(platform, { direction: "to-device" });
    machine.inspect.poke(RAM, Uint8Array.of(2));
    platform.dma.unmap(client, reading, "to-device");
    expect(byteAt(bench, RAM)).toBe(2);

    const writing = map(platform, { direction: "from-device" });
    platform.dma.unmap(client, writing, "from-device");
    expect(byteAt(bench, RAM)).toBe(2);
  });

  it("keeps the offset within the page, and cuts into buffers of at most 256 KiB", () => {
    const { platform } = start();
    const ranges = at(RAM + 100, 600 * 1024);
    const segments = map(platform, { ranges });

    const lengths = Array.from({ length: segments.count }, (_, index) =>
      segments.lengthBytes(index),
    );
    expect(segments.address(0) % PAGE_BYTES).toBe(100);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(BOUNCE_BYTES_MAX);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(600 * 1024);
  });

  it("says EIO when the pool is full, and has the room again after unmap", () => {
    const { platform, machine } = start();
    const ranges = at(RAM, MIB);
    const first = map(platform, { ranges });

    expect(platform.dma.map(request(platform, {}))).toMatchObject({
      errno: "EIO",
      code: "BOUNCE_POOL_FULL",
    });
    expect(machine.handles().mappings).toBe(1);
    platform.dma.unmap(platform.device(CLIENT), first, "bidirectional");
    expect(map(platform, { ranges }).sizeBytes).toBe(MIB);
  });

  it("keeps nothing of the pool when the device's limits cannot be met", () => {
    const { platform } = start();
    const limits = { ...UNLIMITED, segmentCountMax: 1 };

    expect(platform.dma.map(request(platform, { ranges: at(RAM, MIB), limits }))).toMatchObject({
      errno: "EINVAL",
      code: "SEGMENT_COUNT",
    });
    expect(map(platform, { ranges: at(RAM, MIB) }).sizeBytes).toBe(MIB);
  });

  it("refuses shared buffers with EIO unless told to bounce them", () => {
    const { platform } = start({ poolBytes: MIB });

    expect(platform.dma.map(request(platform, {}))).toMatchObject({
      errno: "EIO",
      code: "SHARED_NOT_BOUNCED",
    });
  });

  it("never bounces peers: EIO through the host bridge, bus addresses pass", () => {
    const { platform } = start();
    const peer = { ranges: at(barStart(4), PAGE_BYTES), provider: platform.device(PEER) };

    expect(platform.dma.map(request(platform, { ...peer, route: "host-bridge" }))).toMatchObject({
      errno: "EIO",
      code: "P2P_NOT_BOUNCED",
    });
    expect(map(platform, { ...peer, route: "bus-addr" }).address(0)).toBe(barStart(4));
  });

  it("guards the pool: after unmap a device reaches nothing of it", () => {
    const { platform, port } = start();
    const segments = map(platform);
    platform.dma.unmap(platform.device(CLIENT), segments, "bidirectional");

    expect(port.write(segments.address(0), Uint8Array.of(1), 0, 1).ok).toBe(false);
    expect(port.write(RAM, Uint8Array.of(1), 0, 1).ok).toBe(false);
  });

  it("refuses to unmap what is not mapped so, and copies nothing then", () => {
    const bench = start();
    const { platform, port } = bench;
    const segments = map(platform, { direction: "from-device" });
    port.write(segments.address(0), Uint8Array.of(9), 0, 1);

    expect(() => platform.dma.unmap(platform.device(CLIENT), segments, "bidirectional")).toThrow(
      expect.objectContaining({ code: "HANDLE_CLOSED" }),
    );
    expect(byteAt(bench, RAM)).toBe(0);
    platform.dma.unmap(platform.device(CLIENT), segments, "from-device");
    expect(byteAt(bench, RAM)).toBe(9);
  });

  it("gives the pool's RAM back when the platform is closed", () => {
    const bench = start({ poolBytes: 40 * MIB });
    expect(() => bench.machine.memory.allocate(40 * MIB)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
    );

    bench.platform.close();

    bench.machine.memory.allocate(40 * MIB);
  });

  it("leaves the machine as it was when there is no room for the pool", () => {
    const topology = switchTopology();
    const machine = createMachine({ topology, memoryBytesPerNode: MIB });
    const device = new MemoryDevice();
    machine.place(CLIENT, device);

    expect(() => createModelledPlatform(machine, { dma: "swiotlb" })).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
    );
    // No guard was left in its way.
    expect(device.port.write(MIB, Uint8Array.of(1), 0, 1).ok).toBe(true);
  });

  it("the pool never gives a slot to two, whatever is taken and given back", () => {
    const POOL = 64 * SLOT_BYTES;
    const step = fc.record({
      lengthBytes: fc.integer({ min: 1, max: 20 * SLOT_BYTES }),
      give: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new BouncePool(RAM, POOL);
        const live: (readonly [address: number, lengthBytes: number])[] = [];
        for (const { lengthBytes, give } of steps) {
          if (give !== null && live.length > 0) {
            const [gone] = live.splice(give % live.length, 1) as [readonly [number, number]];
            pool.give(...gone);
          }
          const address = pool.take(lengthBytes);
          if (address !== undefined) {
            expect(address % PAGE_BYTES).toBe(0);
            expect(address >= RAM && address + lengthBytes <= RAM + POOL).toBe(true);
            expect(
              live.some(
                ([other, length]) => address < other + length && other < address + lengthBytes,
              ),
            ).toBe(false);
            live.push([address, lengthBytes]);
          }
        }
        for (const one of live) {
          pool.give(...one);
        }
        expect(pool.usedBytes).toBe(0);
      }),
    );
  });
});
