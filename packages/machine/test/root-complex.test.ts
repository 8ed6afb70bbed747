import { createMachine, type RootComplexProfile } from "@peerbuf/machine";
import { buildTopology } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { BOTH, DATA, events, NONE, peek, portOf, start, tryBoth, ZEROS } from "./route-bench.ts";
import { barStart, endpoint, MIB, switchTopology } from "./small-machines.ts";

describe("a request for RAM", () => {
  it("goes up to the root complex, whatever that does with peer requests", () => {
    const bench = start(switchTopology(), { rootComplex: "none" });

    expect(tryBoth(bench, "0000:03:00.0", 2 * MIB)).toEqual(BOTH);
    expect(events(bench, "0000:03:00.0", 2 * MIB)).toEqual([
      "0000:03:00.0 issues",
      "0000:02:00.0 up",
      "0000:01:00.0 up",
      "0000:00:01.0 up",
      "root complex root-complex",
    ]);
  });

  it("is cut where one bank of RAM ends and the next begins", () => {
    const bench = start(switchTopology(), { memoryBytesPerNode: [4 * MIB, 4 * MIB] });
    const border = 5 * MIB;
    const port = portOf(bench, "0000:03:00.0");

    expect(port.write(border - 4, DATA, 0, 8).ok).toBe(true);

    const halves = [new Uint8Array(4), new Uint8Array(4)] as const;
    bench.machine.inspect.peek(border - 4, halves[0]);
    bench.machine.inspect.peek(border, halves[1]);
    expect([...halves[0], ...halves[1]]).toEqual([...DATA]);
  });
});

describe("through the root complex", () => {
  const SAME = barStart(6);
  const OTHER = barStart(0x71);
  const table: readonly [RootComplexProfile, object, object][] = [
    ["forwards", BOTH, BOTH],
    ["same-host-bridge", BOTH, NONE],
    ["writes-only", { write: true, read: false }, { write: true, read: false }],
    ["none", NONE, NONE],
  ];

  it.each(table)("%s", (rootComplex, same, other) => {
    const bench = start(switchTopology(), { rootComplex });

    expect(tryBoth(bench, "0000:03:00.0", SAME)).toEqual(same);
    expect(tryBoth(bench, "0000:03:00.0", OTHER)).toEqual(other);
  });

  it("refuses a profile that there is not, and keeps the one it has", () => {
    const profile = JSON.parse('"sideways"') as RootComplexProfile;
    const bench = start(switchTopology(), { rootComplex: "none" });

    expect(() => start(switchTopology(), { rootComplex: profile })).toThrow(
      /no root-complex profile/,
    );
    expect(() => bench.machine.setRootComplex(profile)).toThrow(/no root-complex profile/);
    expect(tryBoth(bench, "0000:03:00.0", OTHER)).toEqual(NONE);
  });

  it("another profile counts from the next request on", () => {
    const bench = start(switchTopology(), { rootComplex: "none" });
    expect(tryBoth(bench, "0000:03:00.0", OTHER)).toEqual(NONE);

    bench.machine.setRootComplex("forwards");

    expect(tryBoth(bench, "0000:03:00.0", OTHER)).toEqual(BOTH);
  });

  it("two endpoints on a root bus are the root complex's business as well", () => {
    const topology = buildTopology("integrated", [
      endpoint("0000:00:04.0"),
      endpoint("0000:00:04.1"),
    ]);

    const silent = start(topology, { rootComplex: "none" });
    expect(tryBoth(silent, "0000:00:04.0", barStart(0, 1))).toEqual(NONE);
    expect(tryBoth(silent, "0000:00:04.0", barStart(0, 0))).toEqual(BOTH);
    const forwarding = start(topology, { rootComplex: "same-host-bridge" });
    expect(tryBoth(forwarding, "0000:00:04.0", barStart(0, 1))).toEqual(BOTH);
  });
});

describe("a host bridge with a bus offset", () => {
  const OFFSET = 0x10_0000_0000;

  it("takes bus addresses from devices: RAM and BARs lie higher by the offset", () => {
    const bench = start(switchTopology(), { busOffset: { "0000:00": OFFSET } });

    expect(tryBoth(bench, "0000:03:00.0", 2 * MIB + OFFSET, 2 * MIB)).toEqual(BOTH);
    expect(tryBoth(bench, "0000:03:00.0", barStart(4) + OFFSET, barStart(4))).toEqual(BOTH);
    expect(tryBoth(bench, "0000:81:00.0", barStart(4))).toEqual(BOTH);
  });

  it("physical addresses put on its bus reach nothing", () => {
    const bench = start(switchTopology(), { busOffset: { "0000:00": OFFSET } });

    expect(tryBoth(bench, "0000:03:00.0", 2 * MIB)).toEqual(NONE);
    expect(tryBoth(bench, "0000:03:00.0", barStart(4))).toEqual(NONE);
  });

  it("a physical address put on its bus may hit what it was never meant for", () => {
    const bench = start(switchTopology(), { busOffset: { "0000:00": barStart(4) - 2 * MIB } });
    bench.machine.inspect.poke(2 * MIB, ZEROS);

    portOf(bench, "0000:03:00.0").write(barStart(4), DATA, 0, 8);

    expect(peek(bench, 2 * MIB)).toEqual(DATA);
    expect(peek(bench, barStart(4))).toEqual(ZEROS);
  });

  it("must be one of the machine's", () => {
    expect(() =>
      createMachine({ topology: switchTopology(), busOffset: { "0001:00": 1 } }),
    ).toThrow(/no such root bus/);
  });
});
