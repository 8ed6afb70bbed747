/**
 * Broken parts: device models and drivers that throw, hang or lie, in whole scenarios.
 *
 * Whatever they do, the error names device, driver and what it was about, nothing is left behind, and the next
 * transfer arrives.
 */
import {
  CLOCK,
  type Clock,
  DEVICE,
  type Device,
  DMA,
  type Importer,
  INTERRUPTS,
  type Interrupts,
  type Services,
  type Storage,
} from "@peerbuf/core";
import { gpu } from "@peerbuf/exporters";
import { type Nvme, nvme } from "@peerbuf/importers";
import type { BarModel, DeviceModel, DevicePort } from "@peerbuf/machine";
import { type Outcome, openScenario, type Replacements } from "peerbuf";
import { describe, expect, it } from "vitest";

const GPU = "0000:13:00.0";
const DRIVE = "0000:16:00.0";
const OTHER = "0000:17:00.0";

const transfer = (name: string, importer: string, more = {}) => ({
  name,
  exporter: GPU,
  buffer: { size: 65_536 },
  importer,
  operation: "nvme-write",
  ...more,
});

const SCENARIO = {
  capture: "server-05",
  devices: { [GPU]: { model: "gpu" }, [DRIVE]: { model: "nvme" }, [OTHER]: { model: "nvme" } },
  transfers: [transfer("hurt", DRIVE), transfer("well", OTHER), transfer("again", DRIVE)],
};

/** Runs all transfers with these parts in it, and requires that nothing is held in the end. */
async function run(parts: Replacements, scenario: object = SCENARIO): Promise<Outcome[]> {
  const opened = await openScenario(scenario, parts);
  const outcomes = await opened.all();
  await opened.close();
  const held = Object.entries(opened.machine().handles()).filter(([, count]) => count > 0);
  expect(held).toEqual([]);
  return outcomes;
}

/** A model with other registers. */
function changed(
  shipped: DeviceModel,
  change: {
    bar(bar: Extract<BarModel, { kind: "registers" }>, port: DevicePort): BarModel;
    reset?(): void;
  },
): DeviceModel {
  return {
    name: shipped.name,
    connect(port, bars) {
      const answers = shipped.connect(port, bars);
      return new Map(
        [...answers].map(([index, bar]) => [
          index,
          bar.kind === "registers" ? change.bar(bar, port) : bar,
        ]),
      );
    },
    reset() {
      change.reset?.();
      shipped.reset();
    },
  };
}

const DOORBELLS = 0x1000;

/** Does something at the first doorbell of an I/O queue, which may be all that comes of it. */
function atDoorbell(
  act: (port: DevicePort) => "swallow" | undefined,
  reset?: () => void,
): Replacements {
  let isDone = false;
  return {
    models: {
      [DRIVE]: (shipped) =>
        changed(shipped, {
          ...(reset !== undefined && { reset }),
          bar: (bar, port) => ({
            kind: "registers",
            read: (offset, size) => bar.read(offset, size),
            write(offset, size, value) {
              if (!isDone && offset >= DOORBELLS + 8) {
                isDone = true;
                if (act(port) === "swallow") {
                  return;
                }
              }
              bar.write(offset, size, value);
            },
          }),
        }),
    },
  };
}

describe("a device model that is broken", () => {
  it("throws at a doorbell: dead until it is reset, named with register and model", async () => {
    const [hurt, well, again] = (await run(
      atDoorbell(() => {
        throw new RangeError("ring out of range");
      }),
    )) as [Outcome, Outcome, Outcome];

    expect(hurt).toMatchObject({ arrived: false, error: { code: "DEVICE_GONE" } });
    expect(hurt.error?.message).toContain(DRIVE);
    expect(hurt.failures).toEqual([
      {
        place: DRIVE,
        who: "model nvme, write of register 0x1008 of BAR0",
        message: `${DRIVE}, model nvme, write of register 0x1008 of BAR0: threw ring out of range`,
      },
    ]);
    expect([well.arrived, again.arrived]).toEqual([true, true]);
  });

  it("throws in an event, long after anybody called it", async () => {
    const [hurt, well, again] = await run(
      atDoorbell((port) => {
        port.clock.schedule(1, () => {
          throw new Error("state machine in state 17");
        });
      }),
    );

    expect(hurt?.failures[0]?.message).toContain("state machine in state 17");
    expect([hurt?.arrived, well?.arrived, again?.arrived]).toEqual([false, true, true]);
  });

  it("keeps the clock busy at one moment for ever: ended by the limit of events", async () => {
    let isReset = false;
    const [hurt, well, again] = await run(
      atDoorbell(
        (port) => {
          const spin = (): void => void (isReset || port.clock.schedule(0, spin));
          spin();
        },
        () => {
          isReset = true;
        },
      ),
    );

    expect(hurt?.error).toMatchObject({ code: "CLOCK_RUNAWAY" });
    expect(hurt?.error?.message).toContain(`"hurt" from ${GPU} by ${DRIVE}`);
    expect([well?.arrived, again?.arrived]).toEqual([true, true]);
  });

  it("keeps the clock busy for ever, moment after moment: ended by the limit of moments", async () => {
    let isReset = false;
    const [hurt, well, again] = await run(
      atDoorbell(
        (port) => {
          const spin = (): void => void (isReset || port.clock.schedule(1, spin));
          spin();
          return "swallow";
        },
        () => {
          isReset = true;
        },
      ),
      // Its own driver gives up after 30 s, so long before that nothing else ends it.
      { ...SCENARIO, transfers: SCENARIO.transfers.map((plan) => ({ ...plan, limitNs: 20e9 })) },
    );

    expect(hurt?.error?.code).toBe("WAIT_TIMED_OUT");
    expect([well?.arrived, again?.arrived]).toEqual([true, true]);
  });

  it("writes into memory that is not its own: kept out, and the others arrive", async () => {
    const outcomes = await run(
      atDoorbell((port) => {
        port.write(0x10_0000, new Uint8Array(4096).fill(0x5a), 0, 4096);
      }),
      { ...SCENARIO, machine: { dma: "iommu" } },
    );

    expect(outcomes.map(({ arrived }) => arrived)).toEqual([true, true, true]);
    expect(outcomes[0]?.losses).toMatchObject([
      { requester: DRIVE, kind: "write", at: "iommu", bytes: 4096, firstAddress: 0x10_0000 },
    ]);
  });
});

/** What a driver has at hand. */
interface Parts {
  readonly shipped: Nvme;
  readonly device: Device;
  readonly clock: Clock;
}

type Write = (parts: Parts, ...args: Parameters<Nvme["write"]>) => unknown;

/** The shipped driver, whose first write is another. */
function driverWhose(write: Write): Replacements {
  let isFirst = true;
  return {
    nvme: {
      ...nvme,
      open(services, options) {
        const opened = nvme.open(services, options);
        const shipped = opened.api;
        const parts = { shipped, device: services.get(DEVICE), clock: services.get(CLOCK) };
        const api: Nvme = {
          identity: () => shipped.identity(),
          read: (...args) => shipped.read(...args),
          flush: () => shipped.flush(),
          write: async (...args) => {
            const mine = isFirst ? write : () => shipped.write(...args);
            isFirst = false;
            return (await mine(parts, ...args)) as Awaited<ReturnType<Nvme["write"]>>;
          },
        };
        return { api, close: () => opened.close?.() };
      },
    },
  };
}

const forever = (): Promise<never> => new Promise(() => undefined);

/** All transfers with a limit of 1 s, because the first never ends. */
const LIMITED = {
  ...SCENARIO,
  transfers: SCENARIO.transfers.map((plan) => ({ ...plan, limitNs: 1e9 })),
};

describe("a driver that is broken", () => {
  it("throws something that is no Error: typed, with the transfer and who took part", async () => {
    const [hurt, well, again] = await run(
      driverWhose(() => {
        throw "a string";
      }),
    );

    expect(hurt?.error).toMatchObject({
      code: "DRIVER_BROKEN",
      errno: "EINVAL",
      cause: "a string",
    });
    expect(hurt?.error?.message).toBe(`"hurt" from ${GPU} by ${DRIVE}: a string`);
    expect([well?.arrived, again?.arrived]).toEqual([true, true]);
  });

  it("throws in offer, in the middle of an attach: named with its device", async () => {
    const [hurt, well, again] = await run(
      driverWhose(({ device }, buffer) => {
        const offer = (): never => {
          throw new TypeError("nothing to offer");
        };
        buffer.attach({ name: "nvme", device, offer });
      }),
    );

    expect(hurt?.error).toMatchObject({ code: "DRIVER_BROKEN", errno: "EINVAL" });
    expect(hurt?.error?.message).toBe(
      `"hurt" from ${GPU} by ${DRIVE}: gpu@${GPU} or nvme threw: nothing to offer`,
    );
    expect([well?.arrived, again?.arrived]).toEqual([true, true]);
  });

  it("never comes to an end: ended after its limit, its driver opened anew", async () => {
    const [hurt, well, again] = await run(driverWhose(forever), LIMITED);

    expect(hurt?.error).toMatchObject({ code: "WAIT_TIMED_OUT", errno: "ETIME" });
    expect(hurt?.error?.message).toBe(
      `"hurt" from ${GPU} by ${DRIVE}: it was not over after 1 s of virtual time`,
    );
    expect([well?.arrived, again?.arrived]).toEqual([true, true]);
  });

  it("never ends and holds a mapping: what it held is named, and given back", async () => {
    const [hurt, well, again] = await run(
      driverWhose(async ({ device }, buffer) => {
        const offer: Importer["offer"] = () => ({ answer: "offer", types: [{ type: DMA }] });
        buffer.attach({ name: "nvme", device, offer }).map("to-device");
        await forever();
      }),
      LIMITED,
    );

    expect(hurt?.error?.code).toBe("WAIT_TIMED_OUT");
    expect(hurt?.leftBehind.join()).toContain("not given back before the framework closed");
    expect(hurt?.leftBehind.join()).toContain(`nvme@${DRIVE}`);
    expect([well?.leftBehind, again?.leftBehind]).toEqual([[], []]);
    expect([well?.arrived, again?.arrived]).toEqual([true, true]);
  });

  it("throws in an event of its own, where nobody waits for it: the run goes on and says so", async () => {
    const [hurt, well] = await run(
      driverWhose(({ shipped, clock }, ...args) => {
        clock.schedule(1, () => {
          throw new Error("timer without owner");
        });
        return shipped.write(...args);
      }),
    );

    expect(hurt?.arrived).toBe(true);
    expect(hurt?.failures.map(({ message }) => message)).toEqual([
      "an event of a driver threw timer without owner",
    ]);
    expect(well?.failures).toEqual([]);
  });

  it("cannot be opened again because its device is gone: said to whoever needs it", async () => {
    const faults = [{ fault: "device-lost", device: DRIVE, target: GPU }];
    const [hurt, well, again] = await run({}, { ...SCENARIO, faults });

    expect(hurt?.error?.code).toBe("DEVICE_GONE");
    expect(well?.arrived).toBe(true);
    expect(again?.error).toMatchObject({ code: "DEVICE_GONE" });
    expect(again?.error?.message).toContain(`${DRIVE}: its driver could not be opened again`);
  });
});

const OPERATIONS = [
  "attach",
  "detach",
  "pin",
  "unpin",
  "place",
  "mapped",
  "unmapped",
  "copy",
  "beginCpuAccess",
  "endCpuAccess",
  "read",
  "write",
  "release",
] as const;

/** The shipped GPU driver, one operation of whose first buffer throws. */
function exporterWhose(broken: (typeof OPERATIONS)[number]): Replacements {
  const breaks = (storage: Storage): Storage => {
    const kept = OPERATIONS.filter((name) => storage[name] !== undefined).map((name) => [
      name,
      (...args: never[]) => (storage[name] as (...given: never[]) => unknown)(...args),
    ]);
    const thrower = (): never => {
      throw new ReferenceError(`${broken} is not written yet`);
    };
    return { types: storage.types, ...Object.fromEntries(kept), [broken]: thrower };
  };
  let isFirst = true;
  return {
    gpu: {
      ...gpu,
      open(services, options) {
        const opened = gpu.open(services, options);
        return {
          api: opened.api,
          allocate(...args) {
            const storage = opened.allocate(...args);
            const isBroken = isFirst;
            isFirst = false;
            return isBroken ? breaks(storage) : storage;
          },
          close: () => opened.close?.(),
        };
      },
    },
  };
}

describe("an exporter's driver that is broken", () => {
  it.each([
    "attach",
    "place",
    "mapped",
    "unmapped",
    "beginCpuAccess",
    "endCpuAccess",
    "write",
    "detach",
    "release",
  ] as const)("throws in %s: typed and named, and the next transfers arrive", async (operation) => {
    const opened = await openScenario(SCENARIO, exporterWhose(operation));
    const [hurt, well, again] = (await opened.all()) as [Outcome, Outcome, Outcome];
    await opened.close();

    expect(hurt.error).toMatchObject({ code: "DRIVER_BROKEN" });
    expect(hurt.error?.message).toContain(`"hurt" from ${GPU} by ${DRIVE}: `);
    expect(hurt.error?.message).toContain(`${operation} is not written yet`);
    expect([well.arrived, again.arrived]).toEqual([true, true]);
  });
});

describe("a driver's interrupt handler that throws", () => {
  it("is named with device and vector; its transfer ends, the next ones arrive", async () => {
    let isArmed = false;
    const opened = await openScenario(SCENARIO, {
      nvme: {
        ...nvme,
        open(services, options) {
          const interrupts = services.get(INTERRUPTS);
          const breaking: Interrupts = {
            on: (vector, handler) =>
              interrupts.on(vector, () => {
                if (isArmed) {
                  isArmed = false;
                  throw new TypeError("handler is lost");
                }
                handler();
              }),
          };
          const get: Services["get"] = (token) =>
            Object.is(token, INTERRUPTS) ? (breaking as never) : services.get(token);
          return nvme.open({ has: (token) => services.has(token), get }, options);
        },
      },
    });
    await opened.transfer("again");
    isArmed = true;

    const hurt = await opened.transfer("hurt");
    const again = await opened.transfer("again");
    await opened.close();

    expect(hurt.error?.code).toBe("DEVICE_GONE");
    expect(hurt.failures).toEqual([
      {
        place: DRIVE,
        who: "handler of interrupt vector 1",
        message: `${DRIVE}, handler of interrupt vector 1: threw handler is lost`,
      },
    ]);
    expect(again.arrived).toBe(true);
  });
});
