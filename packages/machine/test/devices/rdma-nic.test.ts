import { createRdmaNic, RdmaWire } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { FakePort } from "./fake-port.ts";
import { ALL_ACCESS, BARS, COMMANDS, ON_DEMAND, PAGE, RdmaBench, TABLE } from "./rdma-bench.ts";

const [PAGE_FAULT, DRAINED] = [1, 2];

/** The page faults among the new events. */
const faultsOf = (bench: RdmaBench): number[][] =>
  bench.events().filter(([kind]) => kind === PAGE_FAULT);

describe("RDMA NIC model", () => {
  it("answers in the first memory BAR of at least 4 KiB, with its place on the wire", () => {
    const wire = new RdmaWire();
    const [one, other] = [new RdmaBench(wire), new RdmaBench(wire)];

    expect(one.registers.read32(0x00)).toBe(0x4e52_4250);
    expect([one.registers.read32(0x08), other.registers.read32(0x08)]).toEqual([1, 2]);
    expect(one.status).toBe(1);
  });

  it("does not fit a function without such a BAR", () => {
    expect(() => createRdmaNic().connect(new FakePort(), BARS.slice(0, 1))).toThrow(
      "a memory BAR of at least 4 KiB",
    );
  });

  it.each(["completionEntries", "eventEntries"])(
    "stays stopped with a queue of one entry (%s)",
    (queue) => {
      expect(new RdmaBench(new RdmaWire(), { [queue]: 1 }).status).toBe(0);
    },
  );

  it("gives a region a key, and another one when its slot is used again", () => {
    const bench = new RdmaBench();

    const first = bench.registerRegion();
    bench.send([0, 4, 2], [32, 4, first.result]);
    const removed = bench.answer();
    const second = bench.registerRegion();

    expect([first.status, removed.status, second.status]).toEqual([0, 0, 0]);
    expect(first.tag).toBe(9);
    expect(second.result >>> 8).toBe(first.result >>> 8);
    expect(second.result).not.toBe(first.result);
  });

  it("refuses a region longer than its segments, and one whose table it cannot read", () => {
    const bench = new RdmaBench();

    const long = bench.registerRegion(ALL_ACCESS, 4097);
    const tooLong = bench.mapPage(long.result);
    const short = bench.registerRegion();
    bench.port.holes.push([TABLE, TABLE + 16]);
    const unreachable = bench.mapPage(short.result);

    expect([tooLong.status, unreachable.status]).toEqual([1, 3]);
  });

  it("refuses a region without bytes or with access flags that it does not know", () => {
    const bench = new RdmaBench();

    expect(bench.registerRegion(ALL_ACCESS, 0).status).toBe(1);
    expect(bench.registerRegion(8).status).toBe(1);
  });

  it("stops with a fatal status when nobody takes its completions", () => {
    const bench = new RdmaBench(new RdmaWire(), { completionEntries: 2 });

    bench.send([0, 4, 99]);
    const before = bench.status;
    bench.send([0, 4, 99]);

    expect([before, bench.status]).toEqual([1, 2]);
  });

  it("stops with a fatal status when a command cannot be fetched, until it is started anew", () => {
    const bench = new RdmaBench();
    bench.port.holes.push([COMMANDS, COMMANDS + 64]);

    bench.send([0, 4, 99]);
    const during = bench.status;
    bench.registers.write32(0x0c, 1);

    expect([during, bench.status]).toEqual([2, 1]);
  });
});

describe("RDMA NIC model, zaps", () => {
  it("refuses accesses to a zapped region that is not on demand, on either side of the wire", () => {
    const bench = new RdmaBench();
    const zapped = bench.mappedPage();
    const present = bench.mappedPage();
    const queuePair = bench.loopBack();

    const underWay = bench.zap(zapped);
    bench.write(queuePair, zapped, present);
    bench.port.clock.run();
    const locally = bench.answer();
    bench.write(bench.loopBack(), present, zapped);
    bench.port.clock.run();
    const overTheWire = bench.answer();

    expect(underWay).toBe(0);
    expect([locally.status, overTheWire.status]).toEqual([4, 10]);
    expect(faultsOf(bench)).toEqual([]);
  });

  it("lets an access that is under way end on the old place, says so, and reports when it is over", () => {
    const bench = new RdmaBench();
    const local = bench.mappedPage(ON_DEMAND);
    const remote = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.port.memory.fill(0x5a, PAGE, 16);
    bench.write(queuePair, local, remote);
    bench.port.clock.runUntil(bench.port.clock.nowNs + 300);

    const underWay = bench.zap(local);
    const before = bench.events();
    bench.port.clock.run();

    expect(underWay).toBe(1);
    expect(before).toEqual([]);
    expect(bench.events()).toEqual([[DRAINED, local, 1]]);
    expect(bench.answer().status).toBe(0);
    expect(bench.port.memory.readNumber(PAGE + 64, 4)).toBe(0x5a5a_5a5a);
  });

  it("takes no mapping that was made before the last zap", () => {
    const bench = new RdmaBench();
    const { result: key } = bench.registerRegion(ON_DEMAND);

    bench.postMap(key);
    bench.zap(key);
    bench.port.clock.run();
    const overtaken = bench.answer();
    const current = bench.mapPage(key, 1);

    expect([overtaken.status, current.status]).toEqual([4, 0]);
  });

  it("takes no second mapping of a region that is present", () => {
    const bench = new RdmaBench();

    expect(bench.mapPage(bench.mappedPage()).status).toBe(1);
  });
});

describe("RDMA NIC model, page faults", () => {
  it("asks once for a page, lets the queue pair wait, and goes on when it is there", () => {
    const bench = new RdmaBench();
    const { result: local } = bench.registerRegion(ON_DEMAND);
    const remote = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.write(queuePair, local, remote);
    bench.port.clock.runUntil(bench.port.clock.nowNs + 1000);

    const asked = bench.events();
    const { status: mapped } = bench.mapPage(local);
    const { status } = bench.answer();

    expect(asked).toEqual([[PAGE_FAULT, local, 0]]);
    expect([mapped, status]).toEqual([0, 0]);
    expect(bench.events()).toEqual([]);
  });

  it("lets the other end try again until the page is there", () => {
    const bench = new RdmaBench();
    const local = bench.mappedPage();
    const { result: remote } = bench.registerRegion(ALL_ACCESS | ON_DEMAND);
    const queuePair = bench.loopBack();
    bench.write(queuePair, local, remote);
    bench.port.clock.runUntil(bench.port.clock.nowNs + 1_000_000);

    const asked = bench.events();
    bench.mapPage(remote);

    expect(asked).toEqual([[PAGE_FAULT, remote, 0]]);
    expect(bench.answer().status).toBe(0);
  });

  it.each([
    ["here", "local", 2],
    ["at the other end", "remote", 13],
  ] as const)("gives up after one second when nobody answers %s", (_where, absent, status) => {
    const bench = new RdmaBench();
    const { result: missing } = bench.registerRegion(ALL_ACCESS | ON_DEMAND);
    const present = bench.mappedPage();
    const queuePair = bench.loopBack();
    const beginNs = bench.port.clock.nowNs;

    if (absent === "local") {
      bench.write(queuePair, missing, present);
    } else {
      bench.write(queuePair, present, missing);
    }
    bench.port.clock.run();

    expect(bench.answer().status).toBe(status);
    expect(bench.events()).toEqual([[PAGE_FAULT, missing, 0]]);
    expect((bench.port.clock.nowNs - beginNs) / 1e9).toBeCloseTo(1, 3);
  });

  it.each([
    ["here", "local", 2],
    ["at the other end", "remote", 11],
  ] as const)(
    "fails whoever waits %s when the host has no page, and asks again next time",
    (_where, absent, status) => {
      const bench = new RdmaBench();
      const { result: missing } = bench.registerRegion(ALL_ACCESS | ON_DEMAND);
      const present = bench.mappedPage();
      const keys =
        absent === "local" ? ([missing, present] as const) : ([present, missing] as const);
      const queuePair = bench.loopBack();
      bench.write(queuePair, ...keys);
      bench.port.clock.runUntil(bench.port.clock.nowNs + 1000);

      bench.send([0, 4, 6], [32, 4, missing]);
      const answers = [bench.answer().status, bench.answer().status];
      const first = faultsOf(bench);
      bench.write(bench.loopBack(), ...keys);
      bench.port.clock.run();

      expect(answers.sort()).toEqual([0, status]);
      expect(first).toEqual([[PAGE_FAULT, missing, 0]]);
      expect(faultsOf(bench)).toEqual([[PAGE_FAULT, missing, 0]]);
    },
  );

  it("ends the request that waits for a region that is deregistered", () => {
    const bench = new RdmaBench();
    const { result: missing } = bench.registerRegion(ON_DEMAND);
    const present = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.write(queuePair, missing, present);
    bench.port.clock.runUntil(bench.port.clock.nowNs + 1000);

    bench.send([0, 4, 2], [32, 4, missing]);
    const removed = bench.answer();

    expect([removed.status, bench.answer().status]).toEqual([0, 4]);
  });

  it("stops with a fatal status when nobody takes its events", () => {
    const bench = new RdmaBench(new RdmaWire(), { eventEntries: 2 });
    const present = bench.mappedPage();
    const missing = [bench.registerRegion(ON_DEMAND), bench.registerRegion(ON_DEMAND)];
    for (const { result } of missing) {
      bench.write(bench.loopBack(), result, present);
      bench.port.clock.runUntil(bench.port.clock.nowNs + 1000);
    }

    expect(bench.status).toBe(2);
  });
});
