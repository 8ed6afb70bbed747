import {
  BARS,
  type Bars,
  CLOCK,
  DEVICE,
  INTERRUPTS,
  type Interrupts,
  type ServiceRegistry,
} from "@peerbuf/core";
import {
  type BarModel,
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type DevicePort,
  SparseMemory,
} from "@peerbuf/machine";
import type { Token } from "typedi";
import { describe, expect, it } from "vitest";
import { barStart, MemoryDevice, switchTopology } from "./small-machines.ts";

const BDF = "0000:03:00.0";
const PEER = "0000:04:00.0";

/** Registers that write down how they are accessed; every read gives the offset in each byte. */
class RegisterDevice implements DeviceModel {
  readonly name = "registers";
  readonly accesses: string[] = [];
  port: DevicePort | undefined;

  connect(port: DevicePort): ReadonlyMap<number, BarModel> {
    this.port = port;
    const registers: BarModel = {
      kind: "registers",
      read: (offset, size) => {
        this.accesses.push(`read${size}@${offset}`);
        return 0x80 + offset;
      },
      write: (offset, size, value) => {
        this.accesses.push(`write${size}@${offset}=${value}`);
      },
    };
    return new Map([[0, registers]]);
  }

  reset(): void {}
}

function start(model: DeviceModel) {
  const machine = createMachine({ topology: switchTopology() });
  machine.place(BDF, model);
  const peer = new MemoryDevice();
  machine.place(PEER, peer);
  const platform = createModelledPlatform(machine, { guard: false });
  const found = new Map<unknown, unknown>();
  const registry: ServiceRegistry = { set: (token, service) => void found.set(token, service) };
  platform.provide(platform.device(BDF), registry);
  const get = <T>(token: Token<T>): T => found.get(token) as T;
  return { machine, platform, peer, get, bars: get(BARS) as Bars };
}

describe("a slot", () => {
  it("shows the driver its device, its BARs and the machine's clock", () => {
    const { get, bars, machine, platform } = start(new MemoryDevice());

    expect(get(DEVICE)).toBe(platform.device(BDF));
    expect(get(DEVICE).label).toBe("PCI function ffff:ffff");
    expect(get(CLOCK)).toBe(machine.clock);
    expect(bars.memory.map(({ index, start: at, sizeBytes }) => [index, at, sizeBytes])).toEqual([
      [0, barStart(3), 2 ** 20],
    ]);
  });

  it("takes one model only, and only one that fits", () => {
    const { machine } = start(new MemoryDevice());
    const tooSmall: DeviceModel = {
      name: "small",
      connect: () => new Map([[0, { kind: "memory", memory: new SparseMemory(4096), base: 0 }]]),
      reset: () => {},
    };
    const noSuchBar: DeviceModel = {
      name: "odd",
      connect: () => new Map([[3, { kind: "memory", memory: new SparseMemory(4096), base: 0 }]]),
      reset: () => {},
    };

    expect(() => machine.place(BDF, new MemoryDevice())).toThrow(
      expect.objectContaining({ code: "WRONG_ORDER" }),
    );
    expect(() => machine.place("0000:05:00.0", tooSmall)).toThrow(/reaches beyond/);
    expect(() => machine.place("0000:05:00.0", noSuchBar)).toThrow(/no memory BAR3/);
    expect(() => machine.place("0000:99:00.0", new MemoryDevice())).toThrow(/no such PCI function/);
    expect(() => machine.place("0000:05:00.0", new MemoryDevice())).not.toThrow();
  });

  it("lets the processors read and write device memory through its BAR", () => {
    const model = new MemoryDevice();
    const [bar] = start(model).bars.memory;

    bar?.write32(16, 0xdead_beef);

    expect(model.memories[0]?.readNumber(16, 4)).toBe(0xdead_beef);
    expect(bar?.read32(16)).toBe(0xdead_beef);
    expect(() => bar?.read32(2 ** 20 - 3)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
  });
});

describe("registers", () => {
  it("see 4 bytes as one access, 8 aligned bytes as one, and more in pieces of 4", () => {
    const model = new RegisterDevice();
    const [bar] = start(model).bars.memory;

    bar?.write32(4, 7);
    bar?.write(8, Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0));
    bar?.write(16, new Uint8Array(12));
    bar?.write(33, Uint8Array.of(1, 2, 3));

    expect(model.accesses).toEqual([
      "write4@4=7",
      `write8@8=${2 * 2 ** 32 + 1}`,
      "write4@16=0",
      "write4@20=0",
      "write4@24=0",
      "write1@33=1",
      `write2@34=${2 + 3 * 256}`,
    ]);
  });

  it("get 8 bytes that are no exact number as two accesses of 4", () => {
    const model = new RegisterDevice();
    const [bar] = start(model).bars.memory;

    bar?.write(0, new Uint8Array(8).fill(0xff));

    expect(model.accesses).toEqual([`write4@0=${2 ** 32 - 1}`, `write4@4=${2 ** 32 - 1}`]);
  });

  it("answer little-endian, to processors and to peers", () => {
    const model = new RegisterDevice();
    const { bars, peer } = start(model);
    const found = new Uint8Array(4);
    bars.memory[0]?.read(4, found);
    const memory = new SparseMemory(4096);

    peer.port.readInto(barStart(3) + 4, memory, 100, 4);
    peer.port.writeFrom(barStart(3), memory, 100, 4);

    expect([...found]).toEqual([0x84, 0, 0, 0]);
    expect(memory.readNumber(100, 4)).toBe(0x84);
    expect(model.accesses).toEqual(["read4@4", "read4@4", `write4@0=${0x84}`]);
  });
});

describe("interrupts", () => {
  it("reach the handler of their vector after the device's code has run, at the same time", () => {
    const model = new RegisterDevice();
    const { machine, get } = start(model);
    const interrupts = get(INTERRUPTS) as Interrupts;
    const order: string[] = [];
    interrupts.on(3, () => order.push(`handler at ${machine.clock.nowNs}`));
    machine.clock.schedule(50, () => {
      model.port?.interrupt(3);
      order.push("device");
    });

    machine.clock.run();

    expect(order).toEqual(["device", "handler at 50"]);
  });

  it("are dropped and counted when nobody handles them any more", () => {
    const model = new RegisterDevice();
    const { machine, get } = start(model);
    const line = get(INTERRUPTS).on(0, () => expect.unreachable());
    expect(machine.handles().interruptHandlers).toBe(1);
    model.port?.interrupt(0);

    line.off();
    line.off();
    machine.clock.run();

    expect(machine.handles().interruptHandlers).toBe(0);
    expect(machine.interruptsOf(machine.topology.require(BDF)).spuriousCount).toBe(1);
  });

  it("have one handler a vector, which leaves room for the next when it is off", () => {
    const { get } = start(new RegisterDevice());
    const interrupts = get(INTERRUPTS);
    const first = interrupts.on(1, () => {});

    expect(() => interrupts.on(1, () => {})).toThrow(
      expect.objectContaining({ code: "WRONG_ORDER" }),
    );
    expect(() => interrupts.on(2048, () => {})).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
    first.off();
    interrupts.on(1, () => {}).off();
  });
});

describe("the platform", () => {
  it("has a device for every function and nothing else", () => {
    const { platform, machine } = start(new MemoryDevice());

    expect(platform.device("0000:02:00.0")).toMatchObject({ id: "0000:02:00.0", bus: "pci" });
    expect(machine.topology.count).toBe(12);
    expect(() => platform.device("0000:99:00.0")).toThrow(
      expect.objectContaining({ code: "DEVICE_UNKNOWN", errno: "ENODEV" }),
    );
  });

  it("gives a driver without hardware memory and time only", () => {
    const { platform } = start(new MemoryDevice());
    const names: string[] = [];

    platform.provide(undefined, { set: (token) => void names.push(token.name ?? "") });

    expect(names).toEqual(["host memory", "clock"]);
  });
});
