import { createMachine } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { DATA, ONES, peek, portOf, start, ZEROS } from "./route-bench.ts";
import { barStart, MemoryDevice, MIB, switchTopology } from "./small-machines.ts";

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
