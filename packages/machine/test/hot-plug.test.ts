/** Cards that come and go, and functions that are reset, seen from the bus. */
import {
  type BarModel,
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type DevicePort,
} from "@peerbuf/machine";
import { buildTopology, PORT_TYPE } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { type Bench, BOTH, DATA, NONE, ONES, portOf, start, tryAs } from "./route-bench.ts";
import { barStart, bridge, configOf, endpoint, MIB, switchTopology } from "./small-machines.ts";

const CLIENT = "0000:03:00.0";
const CARD = "0000:04:00.0";
const PORT = "0000:02:01.0";
const RAM = 2 * MIB;

const lastFault = ({ machine }: Bench) => machine.inspect.recentFaults().at(-1);

describe("a card that is gone", () => {
  it("reads as all ones and takes no writes, for peers and processors; the port above logs it", () => {
    const bench = start(switchTopology());
    const { inspect } = bench.machine;
    bench.machine.surpriseRemove(CARD);
    const found = new Uint8Array(8);

    portOf(bench, CLIENT).read(barStart(4), found, 0, 8);

    expect(found).toEqual(ONES);
    expect(lastFault(bench)).toMatchObject({ reason: "LINK_DOWN", at: PORT, requester: CLIENT });
    expect(inspect.trace("cpu", barStart(4), "read").hops.at(-1)).toEqual({
      at: PORT,
      event: "link-down",
    });
    expect(inspect.errors(PORT).uncorrectable).toEqual(["UNSUPPORTED_REQUEST"]);
    expect(inspect.command(CARD).present).toBe(false);
  });

  it("issues nothing: requests, completions it waited for, interrupts", () => {
    const bench = start(switchTopology());
    bench.machine.surpriseRemove(CARD);

    expect(tryAs(bench, CARD, RAM, {})).toEqual(NONE);
    expect(lastFault(bench)).toMatchObject({ reason: "LINK_DOWN", at: CARD });
    portOf(bench, CARD).interrupt(0);
    expect(bench.machine.clock.pendingCount).toBe(0);
  });

  it("takes its other functions, its virtual functions and everything behind its own bridges along", () => {
    const topology = switchTopology({
      "0000:05:00.0": endpoint("0000:04:00.1"),
      "0000:06:00.0": endpoint("0000:04:00.4", { physicalFunction: CARD }),
    });
    const bench = start(topology);

    bench.machine.surpriseRemove("0000:04:00.1");

    for (const bdf of [CARD, "0000:04:00.1", "0000:04:00.4"]) {
      expect(bench.machine.inspect.command(bdf).present).toBe(false);
    }
    expect(bench.machine.inspect.command(CLIENT).present).toBe(true);
    bench.machine.surpriseRemove("0000:01:00.0");
    expect(bench.machine.inspect.command(CLIENT).present).toBe(false);
    expect(bench.machine.inspect.command("0000:00:01.0").present).toBe(true);
  });

  it("on a conventional bus is one device of several", () => {
    const conventional = { portType: -1 } as const;
    const topology = buildTopology("conventional", [
      bridge("0000:00:1e.0", PORT_TYPE.PCIE_TO_PCI, [1, 1]),
      endpoint("0000:01:01.0", conventional),
      { ...endpoint("0000:01:00.2", conventional), bdf: "0000:01:02.0" },
    ]);
    const bench = start(topology);

    bench.machine.surpriseRemove("0000:01:01.0");

    expect(tryAs(bench, "0000:01:02.0", barStart(1), {})).toEqual(NONE);
    expect(lastFault(bench)?.reason).toBe("UNCLAIMED");
    expect(tryAs(bench, "0000:01:02.0", barStart(1, 2), {})).toEqual(BOTH);
  });

  it("surprises the port above, if that can report it", () => {
    const config = configOf({ extended: [0x0001] });
    config[0x4e] = 0x08;
    const bench = start(switchTopology({ [PORT]: { config: Uint8Array.from(config) } }));

    bench.machine.surpriseRemove(CARD);

    expect(bench.machine.inspect.errors(PORT)).toMatchObject({
      uncorrectable: ["SURPRISE_DOWN"],
      headerLog: [],
    });
  });

  it("loses the completions it was sent, and routes that were known are no use any more", () => {
    const bench = start(switchTopology());
    expect(tryAs(bench, CLIENT, barStart(4), {})).toEqual(BOTH);

    bench.machine.surpriseRemove(CARD);

    expect(tryAs(bench, CLIENT, barStart(4), {})).toEqual(NONE);
    expect(tryAs(bench, CLIENT, barStart(5), {})).toEqual(BOTH);
  });
});

describe("taking out in good order", () => {
  it("is refused while a driver has it open, and then is as quiet as can be", () => {
    const bench = start(switchTopology());
    const platform = createModelledPlatform(bench.machine, { guard: false });
    const device = platform.device(CARD);
    platform.provide(device, { set: () => undefined });

    expect(() => bench.machine.remove(CARD)).toThrow(
      expect.objectContaining({ code: "WRONG_ORDER", message: expect.stringContaining(CARD) }),
    );
    expect(bench.machine.inspect.command(CARD).present).toBe(true);
    platform.release?.(device);
    bench.machine.remove(CARD);

    expect(bench.machine.inspect.command(CARD).present).toBe(false);
    expect(bench.machine.inspect.errors(PORT).uncorrectable).toEqual([]);
  });

  it("twice, or a reset or a driver on what is out, names the function", () => {
    const { machine } = start(switchTopology());
    const platform = createModelledPlatform(machine);
    machine.remove(CARD);

    const gone = expect.objectContaining({
      code: "DEVICE_GONE",
      message: expect.stringContaining(CARD),
    });
    expect(() => machine.remove(CARD)).toThrow(gone);
    expect(() => machine.surpriseRemove(CARD)).toThrow(gone);
    expect(() => machine.resetFunction(CARD)).toThrow(gone);
    expect(() => platform.provide(platform.device(CARD), { set: () => undefined })).toThrow(gone);
    expect(() => machine.insert(CLIENT)).toThrow(expect.objectContaining({ code: "WRONG_ORDER" }));
  });
});

describe("a card put back", () => {
  it("is as after power-on: memory lost, nothing enabled until a driver opens it", () => {
    const bench = start(switchTopology());
    bench.machine.inspect.poke(barStart(4), DATA);
    bench.machine.surpriseRemove(CARD);
    bench.machine.insert(CARD);

    expect(bench.machine.inspect.command(CARD)).toEqual({
      memory: false,
      busMaster: false,
      present: true,
    });
    expect(tryAs(bench, CARD, RAM, {})).toEqual(NONE);
    expect(lastFault(bench)?.reason).toBe("BUS_MASTER_OFF");

    const platform = createModelledPlatform(bench.machine, { guard: false });
    platform.provide(platform.device(CARD), { set: () => undefined });
    const found = new Uint8Array(8);
    bench.machine.inspect.peek(barStart(4), found);
    expect(found).toEqual(new Uint8Array(8));
    expect(tryAs(bench, CARD, RAM, {})).toEqual(BOTH);
    expect(tryAs(bench, CLIENT, barStart(4), {})).toEqual(BOTH);
  });
});

describe("a switch that is pulled out with cards in it", () => {
  it("takes them along, and they come back with it and not before", () => {
    const { machine } = start(switchTopology());
    machine.surpriseRemove("0000:01:00.0");

    expect(() => machine.insert(CARD)).toThrow(
      expect.objectContaining({ code: "WRONG_ORDER", message: expect.stringContaining(PORT) }),
    );
    machine.insert("0000:01:00.0");

    expect(machine.inspect.command(CARD).present).toBe(true);
  });
});

describe("function-level reset", () => {
  /** Sends an interrupt and a write after a while, unless it is reset before. */
  class Ticker implements DeviceModel {
    readonly name = "ticker";
    resets = 0;
    #port: DevicePort | undefined;
    #event: { cancel(): void } | undefined;

    connect(port: DevicePort): ReadonlyMap<number, BarModel> {
      this.#port = port;
      return new Map();
    }

    start(): void {
      this.#event = this.#port?.clock.schedule(100, () => {
        this.#port?.write(RAM, DATA, 0, 8);
      });
    }

    reset(): void {
      this.resets++;
      this.#event?.cancel();
    }
  }

  it("ends the model's work and bus mastering; the address still answers", () => {
    const machine = createMachine({ topology: switchTopology() });
    const ticker = new Ticker();
    machine.place(CARD, ticker);
    ticker.start();

    machine.resetFunction(CARD);
    machine.clock.run();

    expect(machine.inspect.totalTraffic().requests).toBe(0);
    expect(machine.inspect.command(CARD)).toEqual({
      memory: true,
      busMaster: false,
      present: true,
    });
    ticker.start();
    machine.setCommand(CARD, { busMaster: true });
    machine.clock.run();
    expect(machine.inspect.traffic(CARD)).toMatchObject({ requests: 1, lostBytes: 0 });
  });

  it("of a physical function resets its virtual functions, and no other function", () => {
    const virtual = endpoint("0000:04:00.4", { physicalFunction: CARD });
    const machine = createMachine({ topology: switchTopology({ "0000:05:00.0": virtual }) });
    const models = [CARD, "0000:04:00.4", CLIENT].map((bdf) => {
      const ticker = new Ticker();
      machine.place(bdf, ticker);
      return ticker;
    });

    machine.resetFunction(CARD);
    machine.resetFunction("0000:04:00.4");

    expect(models.map(({ resets }) => resets)).toEqual([1, 2, 0]);
  });

  it("keeps what AER logged, which is sticky, and forgets the other status bits", () => {
    const bench = start(switchTopology());
    bench.machine.setCommand(CARD, { memory: false });
    portOf(bench, CLIENT).write(barStart(4), DATA, 0, 8);

    bench.machine.resetFunction(CARD);

    expect(bench.machine.inspect.errors(CARD)).toMatchObject({
      deviceStatus: [],
      uncorrectable: ["UNSUPPORTED_REQUEST"],
    });
  });
});
