/**
 * Capacity: whatever devices do at once, no link, memory or device ever carries more than it can, nobody is forgotten, and
 * every byte is accounted for.
 */
import { createMachine, createNvmeController, createRdmaNic } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { barStart, MemoryDevice, MIB, switchTopology } from "../small-machines.ts";

const DEVICES = [3, 4, 5, 6] as const;
const bdfOf = (bus: number): string => `0000:0${bus}:00.0`;

const speeds = fc.constantFrom(2500, 5000, 8000, 16_000, 32_000, 64_000);
const widths = fc.constantFrom(1, 4, 16);
const link = fc.record({ speedMtps: speeds, width: widths });
const links = fc.record({ 3: link, 4: link, 5: link, 6: link, 1: link });

/** Who sends or fetches how much, from whom, and when. */
const transfer = fc.record({
  from: fc.constantFrom(...DEVICES),
  to: fc.constantFrom(...DEVICES, 0),
  kind: fc.constantFrom("read" as const, "write" as const),
  lengthBytes: fc.integer({ min: 1, max: 100_000 }),
  offset: fc.integer({ min: 0, max: 4096 }),
  atNs: fc.integer({ min: 0, max: 10_000 }),
});

const RAM_BYTES_PER_NS = 7;

describe("capacity", () => {
  it("is never exceeded on any link or memory, and everything arrives", () => {
    fc.assert(
      fc.property(links, fc.array(transfer, { minLength: 1, maxLength: 30 }), (speeds, wanted) => {
        const topology = switchTopology(
          Object.fromEntries(
            Object.entries(speeds).map(([bus, found]) => [bdfOf(Number(bus)), { link: found }]),
          ),
        );
        const machine = createMachine({ topology, links: { memoryBytesPerNs: RAM_BYTES_PER_NS } });
        const devices = new Map(DEVICES.map((bus) => [bus, new MemoryDevice()]));
        for (const [bus, device] of devices) {
          machine.place(bdfOf(bus), device);
        }
        let arrived = 0;
        for (const { from, to, kind, lengthBytes, offset, atNs } of wanted) {
          const address = (to === 0 ? 2 * MIB : barStart(to)) + offset;
          machine.clock.schedule(atNs, () => {
            const legs = [{ kind, runs: [address, lengthBytes] }];
            devices.get(from)?.port.transfer({ legs }, () => arrived++);
          });
        }

        machine.clock.run();

        expect(arrived).toBe(wanted.length);
        for (const { perNs, carried } of machine.links.usage()) {
          expect(carried).toBeLessThanOrEqual(perNs * machine.clock.nowNs * (1 + 1e-9));
        }
        const bytes = DEVICES.reduce(
          (sum, bus) => sum + machine.links.timesOf(bdfOf(bus)).bytes,
          0,
        );
        expect(bytes).toBe(wanted.reduce((sum, each) => sum + each.lengthBytes, 0));
      }),
    );
  });
});

describe("limits inside devices", () => {
  it("are refused where they are no rates", () => {
    for (const rate of [0, -1, Number.NaN]) {
      const refused = expect.objectContaining({ name: "InputError" });
      expect(() => createNvmeController({ pace: { readBytesPerNs: rate } })).toThrow(refused);
      expect(() => createNvmeController({ pace: { commandsPerNs: rate } })).toThrow(refused);
      expect(() => createRdmaNic({ gigabitsPerSecond: rate })).toThrow(refused);
    }
  });
});
