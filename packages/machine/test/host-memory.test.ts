import { type HostPages, PAGE_BYTES, type PhysicalAddress } from "@peerbuf/core";
import { createMachine } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { barStart, MIB, switchTopology, tinyTopology } from "./small-machines.ts";

/** First bytes of the pages of an allocation, in its order. */
function* pagesOf({ ranges }: HostPages): Generator<number> {
  for (let index = 0; index < ranges.count; index++) {
    for (let offset = 0; offset < ranges.lengthBytes(index); offset += PAGE_BYTES) {
      yield ranges.start(index) + offset;
    }
  }
}

const exhausted = expect.objectContaining({ code: "MEMORY_EXHAUSTED", errno: "ENOMEM" });

describe("layout of RAM", () => {
  it("leaves out the hole below 4 GiB and everything that PCI occupies", () => {
    const { memory } = createMachine({
      topology: switchTopology(),
      memoryBytesPerNode: 4 * 2 ** 30,
    });

    const spans = memory.banks.map(({ start, end }) => [start, end]);
    expect(spans).toEqual([
      [MIB, 0xc000_0000],
      [2 ** 32, 2 ** 32 + 4 * 2 ** 30 - (0xc000_0000 - MIB)],
    ]);
    expect(barStart(3)).toBeGreaterThan(0xc000_0000);
  });

  it("costs nothing for 64 GiB", () => {
    const machine = createMachine({ topology: tinyTopology(), memoryBytesPerNode: 64 * 2 ** 30 });

    expect(machine.inspect.committedBytes).toBe(0);
  });

  it("refuses a node that is no whole MiB", () => {
    expect(() => createMachine({ topology: tinyTopology(), memoryBytesPerNode: 5000 })).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });
});

describe("host memory", () => {
  const start = (pagePlacement: "packed" | "scattered" = "packed", seed = 1) =>
    createMachine({ topology: tinyTopology(), memoryBytesPerNode: MIB, pagePlacement, seed });

  it("hands out whole pages, zeroed even when they were used before", () => {
    const { memory } = start();
    const first = memory.allocate(1);
    expect(first.ranges.sizeBytes).toBe(PAGE_BYTES);
    memory.write(first.ranges.start(0), Uint8Array.of(1, 2, 3));
    memory.free(first);

    const second = memory.allocate(PAGE_BYTES);
    const found = Uint8Array.of(9, 9, 9);
    memory.read(second.ranges.start(0), found);

    expect(second.ranges.start(0)).toBe(first.ranges.start(0));
    expect(found).toEqual(Uint8Array.of(0, 0, 0));
  });

  it("gives one range when asked for contiguous memory, and says no when there is none", () => {
    const { memory } = start("scattered");
    const pages = memory.allocate(64 * PAGE_BYTES);

    expect(memory.allocate(64 * PAGE_BYTES, { contiguous: true }).ranges.count).toBe(1);
    expect(() => memory.allocate(100 * PAGE_BYTES, { contiguous: true })).toThrow(exhausted);
    expect(pages.ranges.count).toBe(64);
  });

  it("scatters pages so that no two in a row are neighbours, the same way for the same seed", () => {
    const starts = (seed: number) => {
      const pages = [...pagesOf(start("scattered", seed).memory.allocate(32 * PAGE_BYTES))];
      return pages;
    };

    const pages = starts(7);
    expect(pages.some((page) => pages.includes(page + PAGE_BYTES))).toBe(false);
    expect(starts(7)).toEqual(pages);
    expect(starts(8)).not.toEqual(pages);
  });

  it("refuses a second free, and pages it never handed out", () => {
    const { memory } = start();
    const pages = memory.allocate(PAGE_BYTES);
    memory.free(pages);
    const closed = expect.objectContaining({ code: "HANDLE_CLOSED" });

    expect(() => memory.free(pages)).toThrow(closed);
    expect(() => memory.free({ ranges: pages.ranges })).toThrow(closed);
  });

  it("refuses sizes that are none, and more than there is", () => {
    const { memory } = start();

    for (const size of [0, -1, 1.5]) {
      expect(() => memory.allocate(size)).toThrow(
        expect.objectContaining({ code: "SIZE_INVALID" }),
      );
    }
    expect(() => memory.allocate(MIB + 1)).toThrow(exhausted);
  });

  it("prefers the node asked for and goes to the others when it is full", () => {
    const { memory } = createMachine({ topology: tinyTopology(), memoryBytesPerNode: [MIB, MIB] });
    const nodeOf = (pages: HostPages) =>
      memory.banks.find(
        (bank) => pages.ranges.start(0) >= bank.start && pages.ranges.start(0) < bank.end,
      )?.node;

    expect(nodeOf(memory.allocate(MIB, { node: 1 }))).toBe(1);
    expect(nodeOf(memory.allocate(PAGE_BYTES, { node: 1 }))).toBe(0);
  });

  it("faults where there is no RAM", () => {
    const { memory } = start();

    expect(() => memory.read(0 as PhysicalAddress, new Uint8Array(1))).toThrow(
      expect.objectContaining({ code: "ACCESS_FAULT", errno: "EFAULT" }),
    );
  });

  it("gives a carve-out its own bytes of RAM", () => {
    const { memory, inspect } = start();
    const stolen = memory.carveOut(16 * PAGE_BYTES);

    stolen.memory.write(stolen.base + 5, Uint8Array.of(42));

    const found = new Uint8Array(1);
    inspect.peek(stolen.pages.ranges.start(0) + 5, found);
    expect(found[0]).toBe(42);
  });

  it("never hands out a page twice, and every page comes back, under any order of calls", () => {
    const pageCount = MIB / PAGE_BYTES;
    const step = fc.record({
      free: fc.boolean(),
      which: fc.nat(),
      count: fc.integer({ min: 1, max: 40 }),
      contiguous: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.constantFrom("packed" as const, "scattered" as const),
        (steps, placement) => {
          const { memory } = start(placement);
          const held: HostPages[] = [];
          const taken = new Set<number>();
          for (const { free, which, count, contiguous } of steps) {
            if (free && held.length > 0) {
              const [pages] = held.splice(which % held.length, 1) as [HostPages];
              memory.free(pages);
              for (const page of pagesOf(pages)) {
                taken.delete(page);
              }
              continue;
            }
            const isRoom = contiguous
              ? longestRun(taken, pageCount) >= count
              : pageCount - taken.size >= count;
            if (!isRoom) {
              expect(() => memory.allocate(count * PAGE_BYTES, { contiguous })).toThrow(exhausted);
              continue;
            }
            const pages = memory.allocate(count * PAGE_BYTES, { contiguous });
            held.push(pages);
            expect(contiguous ? pages.ranges.count : 1).toBe(1);
            for (const page of pagesOf(pages)) {
              expect(taken.has(page)).toBe(false);
              taken.add(page);
            }
          }
          expect(memory.livePages).toBe(taken.size);
          held.forEach((pages) => {
            memory.free(pages);
          });
          expect(memory.allocate(MIB, { contiguous: true }).ranges.count).toBe(1);
        },
      ),
    );
  });
});

/** The naive model: walks all pages of the only bank, which starts at 1 MiB. */
function longestRun(taken: ReadonlySet<number>, pageCount: number): number {
  let longest = 0;
  let run = 0;
  for (let page = 0; page < pageCount; page++) {
    run = taken.has(MIB + page * PAGE_BYTES) ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  return longest;
}
