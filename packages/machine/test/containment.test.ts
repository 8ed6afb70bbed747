import { BARS, type Bars, DEVICE, INTERRUPTS, type Interrupts } from "@peerbuf/core";
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

const BROKEN = "0000:03:00.0";
const SOUND = "0000:04:00.0";

type Place = "connect" | "read" | "write" | "event" | "transfer" | "reset" | "nothing";

/** Registers, events and transfers that throw where they are told to. */
class BrokenDevice implements DeviceModel {
  readonly name = "broken";
  /** Where it throws next. */
  throwsAt: Place = "nothing";
  port: DevicePort | undefined;
  readonly done: string[] = [];

  connect(port: DevicePort): ReadonlyMap<number, BarModel> {
    this.port = port;
    this.#act("connect");
    const registers: BarModel = {
      kind: "registers",
      read: () => {
        this.#act("read");
        return 0x1234;
      },
      write: () => {
        this.#act("write");
        port.clock.schedule(10, () => this.#act("event"));
        const legs = [{ kind: "read" as const, runs: [barStart(4), 64] }];
        port.transfer({ legs }, () => this.#act("transfer"));
      },
    };
    return new Map([[0, registers]]);
  }

  reset(): void {
    this.#act("reset");
  }

  #act(place: Place): void {
    if (this.throwsAt === place) {
      throw new TypeError(`no such thing at ${place}`);
    }
    this.done.push(place);
  }
}

function start(throwsAt: Place = "nothing") {
  const machine = createMachine({ topology: switchTopology() });
  const model = new BrokenDevice();
  model.throwsAt = throwsAt;
  machine.place(BROKEN, model);
  const sound = new MemoryDevice();
  machine.place(SOUND, sound);
  const platform = createModelledPlatform(machine, { guard: false });
  const found = new Map<unknown, unknown>();
  platform.provide(platform.device(BROKEN), {
    set: (token, service) => void found.set(token, service),
  });
  const get = <T>(token: Token<T>): T => found.get(token) as T;
  const [bar] = (get(BARS) as Bars).memory;
  if (bar === undefined) {
    throw new Error("the device has no BAR");
  }
  return {
    machine,
    model,
    sound,
    bar,
    interrupts: get(INTERRUPTS) as Interrupts,
    device: get(DEVICE),
  };
}

const messages = ({ failures }: ReturnType<typeof start>["machine"]): string[] =>
  failures.recent().map(({ error }) => error.message);

describe("a device model that throws", () => {
  it.each<[Place, string]>([
    ["read", "model broken, read of register 0x8 of BAR0: threw no such thing at read"],
    ["write", "model broken, write of register 0x8 of BAR0: threw no such thing at write"],
    ["event", "model broken, event: threw no such thing at event"],
    ["transfer", "model broken, event: threw no such thing at transfer"],
  ])("at %s is dead from there on, named in the log, and hurts nobody", (place, message) => {
    const { machine, model, bar, sound } = start(place);

    bar.read32(8);
    bar.write32(8, 1);
    machine.clock.run();
    model.throwsAt = "nothing";
    const doneBefore = model.done.length;
    bar.write32(8, 1);
    machine.clock.run();

    expect(messages(machine)).toEqual([`${BROKEN}, ${message}`]);
    expect(machine.failures.recent()[0]).toMatchObject({
      device: BROKEN,
      error: { code: "DEVICE_FAILED", errno: "EIO", cause: expect.any(TypeError) },
    });
    expect(bar.read32(8)).toBe(0xffff_ffff);
    expect(model.done).toHaveLength(doneBefore);
    expect(sound.port.write(barStart(3), new Uint8Array(4), 0, 4).ok).toBe(true);
  });

  it("reads as all ones at every width", () => {
    const { machine, bar } = start("read");
    bar.read32(0);
    const widths = [1, 2, 4, 8].map((width) => {
      const bytes = new Uint8Array(width);
      bar.read(0, bytes);
      return [...bytes];
    });

    expect(widths.flat().every((byte) => byte === 0xff)).toBe(true);
    expect(machine.failures.count).toBe(1);
  });

  it("lives again after a reset; one that throws in reset does not", () => {
    const { machine, model, bar } = start("read");
    bar.read32(0);

    model.throwsAt = "reset";
    machine.resetFunction(BROKEN);
    const afterBadReset = bar.read32(0);
    model.throwsAt = "nothing";
    machine.resetFunction(BROKEN);

    expect(afterBadReset).toBe(0xffff_ffff);
    expect(bar.read32(0)).toBe(0x1234);
    expect(messages(machine)).toHaveLength(2);
  });

  it("when it is placed is refused, and the place stays free", () => {
    const machine = createMachine({ topology: switchTopology() });
    const model = new BrokenDevice();
    model.throwsAt = "connect";

    expect(() => machine.place(BROKEN, model)).toThrow(
      expect.objectContaining({
        code: "DEVICE_FAILED",
        message: `${BROKEN}, model broken: threw when it was placed: no such thing at connect`,
      }),
    );
    expect(() => machine.place(BROKEN, new MemoryDevice())).not.toThrow();
  });

  it("by itself, while the clock pumps, does not end the process", async () => {
    const { machine, model, bar } = start("event");

    bar.write32(0, 1);
    await new Promise<void>((resolve) => {
      machine.clock.schedule(1_000_000, resolve);
    });

    expect(messages(machine)).toHaveLength(1);
    expect(model.done).not.toContain("event");
  });

  it("a request without end of a model's own does not throw into others: 2^53 bytes away nothing answers", () => {
    const { machine, sound } = start();

    expect(sound.port.read(2 ** 60, new Uint8Array(8), 0, 8).ok).toBe(false);
    expect(machine.failures.count).toBe(0);
  });
});

describe("a device model that asks for what cannot be", () => {
  const impossible: [string, number, number, number][] = [
    ["an address that is none", Number.NaN, 0, 8],
    ["bytes without end", barStart(4), 0, Number.POSITIVE_INFINITY],
    ["more bytes than it has memory for", barStart(4), 60, 8],
    ["bytes before its memory", barStart(4), -8, 8],
    ["half a byte", barStart(4), 0, 0.5],
  ];

  it.each(impossible)("%s: it is told so, and nothing moves", (_, address, offset, lengthBytes) => {
    const { machine, sound } = start();
    const bytes = new Uint8Array(64).fill(7);
    const own = new SparseMemory(64);
    const refused = expect.objectContaining({ errno: "EINVAL" });

    expect(() => sound.port.read(address, bytes, offset, lengthBytes)).toThrow(refused);
    expect(() => sound.port.write(address, bytes, offset, lengthBytes)).toThrow(refused);
    expect(() => sound.port.readInto(address, own, offset, lengthBytes)).toThrow(refused);
    expect(() => sound.port.writeFrom(address, own, offset, lengthBytes)).toThrow(refused);
    expect(bytes).toEqual(new Uint8Array(64).fill(7));
    expect(machine.inspect.totalTraffic()).toMatchObject({ readBytes: 0, writtenBytes: 0 });
  });

  it("memory behind a BAR that throws when it is asked what it accepts is a device that failed", () => {
    const machine = createMachine({ topology: switchTopology() });
    const sound = new MemoryDevice();
    machine.place(SOUND, sound);
    machine.setCommand(SOUND, { busMaster: true, memory: true });
    const accepts = (): boolean => {
      throw new TypeError("no such window");
    };
    const bar: BarModel = { kind: "memory", memory: new SparseMemory(2 ** 20), base: 0, accepts };
    machine.place(BROKEN, { name: "odd", connect: () => new Map([[0, bar]]), reset: () => {} });

    expect(() => sound.port.read(barStart(3), new Uint8Array(8), 0, 8)).not.toThrow();
    expect(messages(machine)).toEqual([expect.stringContaining("read of byte 0x0 of BAR0")]);
  });
});

describe("a driver's interrupt handler that throws", () => {
  it("is named with its vector, and later interrupts still come", () => {
    const { machine, model, interrupts } = start();
    let calls = 0;
    interrupts.on(3, () => {
      calls++;
      throw new Error("not today");
    });

    model.port?.interrupt(3);
    model.port?.interrupt(3);
    machine.clock.run();

    expect(calls).toBe(2);
    expect(messages(machine)[0]).toBe(`${BROKEN}, handler of interrupt vector 3: threw not today`);
    expect(machine.failures.recent()[0]?.error.code).toBe("DRIVER_BROKEN");
  });
});

describe("the failure log", () => {
  it("keeps 256 and counts all", () => {
    const { machine, model, interrupts } = start();
    interrupts.on(0, () => {
      throw new Error("again");
    });

    for (let time = 0; time < 300; time++) {
      model.port?.interrupt(0);
    }
    machine.clock.run();

    expect(machine.failures.count).toBe(300);
    expect(machine.failures.recent()).toHaveLength(256);
  });
});
