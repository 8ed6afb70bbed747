/**
 * Isolation: whatever devices do while mappings come and go, none reads or changes a byte that is not
 * mapped for it. Nothing but the IOMMU is in their way: there is no guard here.
 *
 * The model is one array of bytes for all memory and, for each device, the physical page behind each
 * of its pages. After each access the answer is compared, and all of memory again and again.
 */
import { PAGE_BYTES, PhysicalRanges, type SegmentList, UNLIMITED } from "@peerbuf/core";
import {
  createMachine,
  createModelledPlatform,
  type DevicePort,
  type Machine,
  type ModelledPlatform,
} from "@peerbuf/machine";
import { ACS } from "@peerbuf/topology";
import { expect, it } from "vitest";
import { acs, barStart, MemoryDevice, MIB, switchTopology } from "./small-machines.ts";

const ACCESSES = 1_000_000;
const ACCESSES_PER_CHANGE = 20;
const ACCESSES_PER_COMPARE = 5000;
const MAPPINGS_MAX = 24;
const ACCESS_BYTES_MAX = 64;
/** They issue requests; one neighbour below the switch and one device elsewhere only own memory. */
const DEVICES = ["0000:03:00.0", "0000:04:00.0", "0000:06:00.0"];
const OWNERS = ["0000:05:00.0", "0000:81:00.0"];
/** 48 pages of RAM and 8 of each owner's BAR: what there is to protect. */
const PAGES: readonly number[] = [
  ...Array.from({ length: 48 }, (_, index) => 2 * MIB + index * PAGE_BYTES),
  ...Array.from({ length: 8 }, (_, index) => barStart(5) + index * PAGE_BYTES),
  ...Array.from({ length: 8 }, (_, index) => barStart(0x71) + index * PAGE_BYTES),
];
const RIGHTS = { "to-device": "r", "from-device": "w", bidirectional: "rw" } as const;
type Direction = keyof typeof RIGHTS;

/** A small generator: a million draws, the same for a seed. */
function draws(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

interface Mapping {
  readonly device: number;
  readonly segments: SegmentList;
  readonly direction: Direction;
  /** Indices into PAGES, in the order of the device's addresses. */
  readonly pages: readonly number[];
}

/** Unmaps of one device that wait for a flush, as the rules say: until 8 wait, or the first waits 10 ms. */
interface Waiting {
  count: number;
  untilNs: number;
}

const FLUSH_ENTRIES = 8;
const FLUSH_NS = 10_000_000;

/** What one page of a device's addresses leads to. */
interface Target {
  readonly page: number;
  readonly rights: string;
}

class Model {
  readonly machine: Machine;
  readonly platform: ModelledPlatform;
  readonly ports: readonly DevicePort[];
  readonly bytes = PAGES.map(() => new Uint8Array(PAGE_BYTES));
  readonly live: Mapping[] = [];
  /** By device: page number of the device's address to what is behind it. */
  readonly targets = DEVICES.map(() => new Map<number, Target>());
  /** The same for what was unmapped and not flushed: hardware may or may not remember it. */
  readonly stale = DEVICES.map(() => new Map<number, Target>());
  readonly waiting = DEVICES.map((): Waiting => ({ count: 0, untilNs: 0 }));
  /** Addresses that somebody was once given; most of them dead. */
  readonly known: number[] = [...PAGES];
  readonly draw: (limit: number) => number;
  readonly tally = { reads: 0, writes: 0, faults: 0, passedStale: 0, faultedStale: 0 };
  readonly isLazy: boolean;

  constructor(seed: number, dma: "iommu" | "iommu-lazy") {
    this.isLazy = dma === "iommu-lazy";
    this.draw = draws(seed);
    const redirect = acs(ACS.RR);
    const topology = switchTopology({
      "0000:02:00.0": redirect,
      "0000:02:01.0": redirect,
      "0000:02:02.0": redirect,
    });
    this.machine = createMachine({ topology, memoryBytesPerNode: 16 * MIB });
    this.ports = DEVICES.map((bdf) => {
      const device = new MemoryDevice();
      this.machine.place(bdf, device);
      return device.port;
    });
    for (const bdf of OWNERS) {
      this.machine.place(bdf, new MemoryDevice());
    }
    this.platform = createModelledPlatform(this.machine, {
      dma,
      flushQueue: { entriesMax: FLUSH_ENTRIES, timeoutNs: FLUSH_NS },
    });
  }

  map(): void {
    const device = this.draw(DEVICES.length);
    const first = this.draw(PAGES.length);
    const pages = Array.from(
      { length: 1 + this.draw(4) },
      (_, index) => (first + index * (1 + this.draw(3))) % PAGES.length,
    );
    const direction = (["to-device", "from-device", "bidirectional"] as const)[this.draw(3)];
    const table = pages.flatMap((page) => [PAGES[page] as number, PAGE_BYTES]);
    const segments = this.platform.dma.map({
      client: this.platform.device(DEVICES[device] as string),
      ranges: new PhysicalRanges(Float64Array.from(table)),
      provider: undefined,
      route: "system",
      direction: direction as Direction,
      limits: UNLIMITED,
    }) as SegmentList;
    const start = segments.address(0);
    pages.forEach((page, index) => {
      const rights = RIGHTS[direction as Direction];
      expect(this.stale[device]?.has(start / PAGE_BYTES + index)).toBe(false);
      this.targets[device]?.set(start / PAGE_BYTES + index, { page, rights });
    });
    this.known.push(start);
    this.live.push({ device, segments, direction: direction as Direction, pages });
  }

  unmap(): Mapping {
    const [gone] = this.live.splice(this.draw(this.live.length), 1) as [Mapping];
    const client = this.platform.device(DEVICES[gone.device] as string);
    this.platform.dma.unmap(client, gone.segments, gone.direction);
    const first = gone.segments.address(0) / PAGE_BYTES;
    for (let index = 0; index < gone.pages.length; index++) {
      const target = this.targets[gone.device]?.get(first + index) as Target;
      this.targets[gone.device]?.delete(first + index);
      if (this.isLazy) {
        this.stale[gone.device]?.set(first + index, target);
      }
    }
    if (this.isLazy) {
      this.#wait(gone.device);
    }
    return gone;
  }

  /** Time moves on; what has waited long enough is flushed. */
  tick(): void {
    const { clock } = this.machine;
    clock.runUntil(clock.nowNs + this.draw(FLUSH_NS / 2));
    this.waiting.forEach(({ count, untilNs }, device) => {
      if (count > 0 && clock.nowNs >= untilNs) {
        this.#flushed(device);
      }
    });
  }

  #wait(device: number): void {
    const waiting = this.waiting[device] as Waiting;
    waiting.untilNs = waiting.count === 0 ? this.machine.clock.nowNs + FLUSH_NS : waiting.untilNs;
    waiting.count++;
    if (waiting.count === FLUSH_ENTRIES) {
      this.#flushed(device);
    }
  }

  #flushed(device: number): void {
    (this.waiting[device] as Waiting).count = 0;
    this.stale[device]?.clear();
  }

  /** The next access after an unmap, to where the mapping was: it faults. */
  accessAfter({ device, segments }: Mapping): void {
    const port = this.ports[device] as DevicePort;
    const address = segments.address(0);
    expect(port.write(address, new Uint8Array(1), 0, 1).ok).toBe(false);
    expect(port.read(address, new Uint8Array(1), 0, 1).ok).toBe(false);
  }

  access(scratch: Uint8Array): void {
    const device = this.draw(DEVICES.length);
    const base = this.known[this.draw(this.known.length)] as number;
    const address = Math.max(0, base + this.draw(6 * PAGE_BYTES) - PAGE_BYTES);
    const lengthBytes = 1 + this.draw(ACCESS_BYTES_MAX);
    if (this.draw(2) === 0) {
      this.#read(device, address, scratch, lengthBytes);
    } else {
      this.#write(device, address, scratch, lengthBytes);
    }
  }

  compare(): void {
    const found = new Uint8Array(PAGE_BYTES);
    PAGES.forEach((page, index) => {
      this.machine.inspect.peek(page, found);
      expect(Buffer.compare(found, this.bytes[index] as Uint8Array)).toBe(0);
    });
  }

  #read(device: number, address: number, scratch: Uint8Array, lengthBytes: number): void {
    scratch.fill(0x55, 0, lengthBytes);
    const { lostBytes } = (this.ports[device] as DevicePort).read(address, scratch, 0, lengthBytes);
    let lost = 0;
    let unsure = 0;
    for (let index = 0; index < lengthBytes; index++) {
      const at = address + index;
      const target = this.#target(this.targets, device, at, "r");
      const expected = target === undefined ? 0xff : this.bytes[target]?.[at % PAGE_BYTES];
      lost += target === undefined ? 1 : 0;
      const before = this.#target(this.stale, device, at, "r");
      unsure += before === undefined ? 0 : 1;
      const remembered = before === undefined ? expected : this.bytes[before]?.[at % PAGE_BYTES];
      if (scratch[index] !== expected && scratch[index] !== remembered) {
        throw new Error(`${DEVICES[device]} read ${scratch[index]} at ${at}`);
      }
    }
    this.#count("reads", lost, unsure, lostBytes);
  }

  #write(device: number, address: number, scratch: Uint8Array, lengthBytes: number): void {
    const value = this.draw(256);
    scratch.fill(value, 0, lengthBytes);
    const port = this.ports[device] as DevicePort;
    const { lostBytes } = port.write(address, scratch, 0, lengthBytes);
    let lost = 0;
    let unsure = 0;
    for (let index = 0; index < lengthBytes; index++) {
      const at = address + index;
      const target = this.#target(this.targets, device, at, "w");
      const before = this.#target(this.stale, device, at, "w");
      lost += target === undefined ? 1 : 0;
      if (target !== undefined) {
        (this.bytes[target] as Uint8Array)[at % PAGE_BYTES] = value;
      } else if (before !== undefined) {
        unsure++;
        this.#followStale(before, at % PAGE_BYTES, value);
      }
    }
    this.#count("writes", lost, unsure, lostBytes);
  }

  /** A write by way of a stale address arrived where it used to lead, or changed nothing. */
  #followStale(page: number, offset: number, value: number): void {
    const bytes = this.bytes[page] as Uint8Array;
    const found = new Uint8Array(1);
    this.machine.inspect.peek((PAGES[page] as number) + offset, found);
    if (found[0] !== value && found[0] !== bytes[offset]) {
      throw new Error(`a write of ${value} left ${found[0]} where ${bytes[offset]} was`);
    }
    bytes[offset] = found[0] as number;
  }

  /** `unsure` of the `lost` bytes may have passed after all. */
  #count(kind: "reads" | "writes", lost: number, unsure: number, lostBytes: number): void {
    if (lostBytes > lost || lostBytes < lost - unsure) {
      throw new Error(`${lostBytes} bytes were lost where ${lost} are not mapped`);
    }
    this.tally[lost === 0 ? kind : "faults"]++;
    if (unsure > 0) {
      this.tally[lostBytes < lost ? "passedStale" : "faultedStale"]++;
    }
  }

  #target(
    targets: readonly ReadonlyMap<number, Target>[],
    device: number,
    address: number,
    right: string,
  ): number | undefined {
    const target = targets[device]?.get(Math.floor(address / PAGE_BYTES));
    return target?.rights.includes(right) ? target.page : undefined;
  }
}

function play(model: Model, accesses: number, change: () => void): void {
  const scratch = new Uint8Array(ACCESS_BYTES_MAX);
  for (let count = 0; count < accesses; count++) {
    if (count % ACCESSES_PER_CHANGE === 0) {
      change();
      model.known.splice(PAGES.length, Math.max(0, model.known.length - PAGES.length - 64));
    }
    model.access(scratch);
    if (count % ACCESSES_PER_COMPARE === 0) {
      model.compare();
    }
  }
  model.compare();
}

const isFull = ({ live, draw }: Model): boolean =>
  live.length === MAPPINGS_MAX || (live.length > 0 && draw(2) === 0);

it("a million accesses by devices while mappings come and go: each byte only by who has it mapped", () => {
  const model = new Model(20_260_101, "iommu");
  play(model, ACCESSES, () => {
    if (isFull(model)) {
      model.accessAfter(model.unmap());
    } else {
      model.map();
    }
  });

  const { reads, writes, faults } = model.tally;
  expect(Math.min(reads, writes, faults)).toBeGreaterThan(ACCESSES / 100);
  expect(reads + writes + faults).toBe(ACCESSES);
}, 60_000);

it("the same with lazy invalidation: what is stale leads where it led before, until the flush and never after", () => {
  const model = new Model(20_260_102, "iommu-lazy");
  play(model, ACCESSES / 4, () => {
    if (isFull(model)) {
      model.unmap();
    } else {
      model.map();
    }
    if (model.draw(4) === 0) {
      model.tick();
    }
  });

  const { passedStale, faultedStale } = model.tally;
  expect(Math.min(passedStale, faultedStale)).toBeGreaterThan(100);
}, 60_000);
