/** Memory Space Enable and Bus Master Enable: who answers, who may ask, and who passes things on. */
import { createModelledPlatform } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { type Bench, BOTH, DATA, NONE, ONES, portOf, start, tryAs, ZEROS } from "./route-bench.ts";
import { barStart, configOf, endpoint, MIB, switchTopology } from "./small-machines.ts";

const CLIENT = "0000:03:00.0";
const PROVIDER = "0000:04:00.0";
const PEER = barStart(4);
const RAM = 2 * MIB;

const lastFault = ({ machine }: Bench) => machine.inspect.recentFaults().at(-1);

describe("bus mastering", () => {
  it("off at the function: none of its requests leave it, its interrupts neither, and it still answers", () => {
    const bench = start(switchTopology());
    bench.machine.setCommand(CLIENT, { busMaster: false });

    expect(tryAs(bench, CLIENT, PEER, {})).toEqual(NONE);
    expect(lastFault(bench)).toMatchObject({ reason: "BUS_MASTER_OFF", at: CLIENT });
    portOf(bench, CLIENT).interrupt(0);
    expect(bench.machine.clock.pendingCount).toBe(0);
    expect(tryAs(bench, PROVIDER, barStart(3), {})).toEqual(BOTH);
  });

  it.each([
    { bridge: "0000:02:00.0", toPeer: NONE, toRam: NONE, of: "its own port" },
    { bridge: "0000:00:01.0", toPeer: BOTH, toRam: NONE, of: "the root port above the switch" },
    { bridge: "0000:02:01.0", toPeer: BOTH, toRam: BOTH, of: "the port of the target" },
  ])("off at a bridge: $of stops what it would pass up", ({ bridge, toPeer, toRam }) => {
    const bench = start(switchTopology());
    bench.machine.setCommand(bridge, { busMaster: false });

    expect(tryAs(bench, CLIENT, PEER, {})).toEqual(toPeer);
    expect(tryAs(bench, CLIENT, RAM, {})).toEqual(toRam);
  });
});

describe("memory space", () => {
  it("off at the function: its BARs do not answer, and it still issues requests", () => {
    const bench = start(switchTopology());
    const [bar] = bench.machine.inspect.bars().filter(({ bdf }) => bdf === PROVIDER);
    bench.machine.setCommand(PROVIDER, { memory: false });
    const port = portOf(bench, CLIENT);
    const read = new Uint8Array(8);

    expect(port.read(PEER, read, 0, 8)).toEqual({ ok: false, lostBytes: 8 });
    expect(read).toEqual(ONES);
    expect(lastFault(bench)).toMatchObject({ reason: "MEMORY_OFF", at: PROVIDER });
    expect(bench.machine.inspect.trace("cpu", bar?.start ?? 0, "write").loss).toBe("MEMORY_OFF");
    expect(tryAs(bench, PROVIDER, RAM, {})).toEqual(BOTH);
  });

  it.each([
    { bridge: "0000:02:01.0", fromPeer: NONE, of: "the port above the target" },
    { bridge: "0000:01:00.0", fromPeer: BOTH, of: "the switch's upstream port" },
    { bridge: "0000:02:00.0", fromPeer: BOTH, of: "the requester's own port" },
  ])("off at a bridge: $of passes nothing down", ({ bridge, fromPeer }) => {
    const bench = start(switchTopology());
    bench.machine.setCommand(bridge, { memory: false });

    expect(tryAs(bench, CLIENT, PEER, {})).toEqual(fromPeer);
    const isBelow = bridge !== "0000:02:00.0";
    expect(bench.machine.inspect.trace("cpu", PEER, "read").loss).toBe(
      isBelow ? "MEMORY_OFF" : undefined,
    );
  });

  it("off on a root bus lets the address fall to whom it overlaps", () => {
    const bench = start(
      switchTopology({
        "0000:06:00.0": endpoint("0000:06:00.0", {
          bars: [PEER, barStart(6)].map((at, index) => ({
            index,
            start: at,
            size: MIB,
            kind: "memory" as const,
            wide: false,
            prefetchable: false,
          })),
        }),
      }),
    );
    const seen = () => bench.machine.inspect.trace("cpu", barStart(6), "read").arrivesAt;
    expect(seen()).toMatchObject({ bdf: "0000:06:00.0" });

    bench.machine.setCommand("0000:06:00.0", { memory: false });
    expect(seen()).toBeUndefined();

    bench.machine.setCommand("0000:06:00.0", { memory: true });
    expect(seen()).toMatchObject({ bdf: "0000:06:00.0" });
  });

  it("a request over the edge of a silent BAR is cut there, and logged once for each side", () => {
    const bench = start(switchTopology());
    bench.machine.setCommand(PROVIDER, { memory: false });
    const before = bench.machine.inspect.faultCount;

    portOf(bench, CLIENT).write(PEER + MIB - 4096, new Uint8Array(8192), 0, 8192);

    const faults = bench.machine.inspect.recentFaults().slice(before);
    expect(faults.map(({ reason, lengthBytes }) => [reason, lengthBytes])).toEqual([
      ["MEMORY_OFF", 4096],
      ["UNCLAIMED", 4096],
    ]);
  });
});

describe("where the bits come from", () => {
  const captured = (command: number) =>
    start(switchTopology({ [CLIENT]: { config: configOf({ command }) } }));

  it.each([
    { command: 0x0, memory: false, busMaster: false },
    { command: 0x2, memory: true, busMaster: false },
    { command: 0x7, memory: true, busMaster: true },
  ])("a captured command register of $command", ({ command, memory, busMaster }) => {
    const { inspect } = captured(command).machine;

    expect(inspect.command(CLIENT)).toEqual({ memory, busMaster, present: true });
    expect(inspect.command(PROVIDER)).toEqual({ memory: true, busMaster: true, present: true });
  });

  it("a virtual function's memory is enabled by its physical function's SR-IOV control", () => {
    const of = (control: number) => {
      const config = configOf({ extended: [0x0010] });
      config[0x108] = control;
      const vf = endpoint("0000:03:00.4", {
        physicalFunction: CLIENT,
        config: configOf({ command: 0 }),
      });
      const { machine } = start(switchTopology({ [CLIENT]: { config }, "0000:05:00.0": vf }));
      return machine.inspect.command("0000:03:00.4").memory;
    };

    expect(of(0x9)).toBe(true);
    expect(of(0x1)).toBe(false);
  });

  it("a driver that is given the device finds it enabled, bridges above too; the last to go ends bus mastering", () => {
    const bench = captured(0x0);
    const { machine } = bench;
    machine.setCommand("0000:02:00.0", { memory: false, busMaster: false });
    const platform = createModelledPlatform(machine, { guard: false });
    const device = platform.device(CLIENT);
    const none = { set: () => undefined };
    expect(tryAs(bench, CLIENT, RAM, {})).toEqual(NONE);

    platform.provide(device, none);
    platform.provide(device, none);
    expect(tryAs(bench, CLIENT, RAM, {})).toEqual(BOTH);
    platform.release?.(device);
    expect(tryAs(bench, CLIENT, RAM, {})).toEqual(BOTH);
    platform.release?.(device);

    expect(machine.inspect.command(CLIENT)).toMatchObject({ memory: true, busMaster: false });
    expect(machine.inspect.command("0000:02:00.0")).toMatchObject({ busMaster: true });
    const read = new Uint8Array(8);
    portOf(bench, CLIENT).read(RAM, read, 0, 8);
    expect(read).not.toEqual(DATA);
    expect(ZEROS).toHaveLength(8);
  });
});
