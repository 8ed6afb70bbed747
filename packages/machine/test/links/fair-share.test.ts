/**
 * Fair sharing of links, seen from outside: machines of random links and devices, random transfers, and the rates that
 * come out of their times, against rates found by the textbook definition.
 */
import { createMachine, type DeviceLimit, type Machine } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryDevice, switchTopology } from "../small-machines.ts";

const DEVICES = ["0000:03:00.0", "0000:04:00.0", "0000:05:00.0", "0000:06:00.0"] as const;

/** Shared by devices as they say: limits of no device in particular. */
interface Network {
  /** Bytes a nanosecond. */
  readonly capacities: readonly number[];
  /** By stream: units of each limit that a byte takes; 0 is none. */
  readonly weights: readonly (readonly number[])[];
}

const networks: fc.Arbitrary<Network> = fc.integer({ min: 1, max: 5 }).chain((limitCount) =>
  fc.record({
    capacities: fc.array(fc.integer({ min: 1, max: 100 }), {
      minLength: limitCount,
      maxLength: limitCount,
    }),
    weights: fc.array(
      fc
        .array(fc.integer({ min: 0, max: 3 }), { minLength: limitCount, maxLength: limitCount })
        .filter((row) => row.some((weight) => weight > 0)),
      { minLength: 1, maxLength: DEVICES.length },
    ),
  }),
);

/**
 * The textbook: the level at which each limit would be full is tried, the lowest one stops its streams, and
 * again without them. Written for clarity and in another way than the product's.
 */
function waterFilling({ capacities, weights }: Network): number[] {
  const rates = new Map<number, number>();
  while (rates.size < weights.length) {
    const growing = weights.map((_, stream) => stream).filter((stream) => !rates.has(stream));
    const levels = capacities.map((capacity, limit) => {
      const weightOf = (stream: number): number => weights[stream]?.[limit] ?? 0;
      const taken = [...rates].reduce((sum, [stream, rate]) => sum + rate * weightOf(stream), 0);
      const wanted = growing.reduce((sum, stream) => sum + weightOf(stream), 0);
      return wanted === 0 ? Number.POSITIVE_INFINITY : (capacity - taken) / wanted;
    });
    const level = Math.min(...levels);
    const full = levels.flatMap((each, limit) => (each <= level * (1 + 1e-9) ? [limit] : []));
    for (const stream of growing) {
      if (full.some((limit) => (weights[stream]?.[limit] ?? 0) > 0)) {
        rates.set(stream, level);
      }
    }
  }
  return weights.map((_, stream) => rates.get(stream) as number);
}

/** Sends `bytes` for each stream at once. Returns when each has arrived. */
function arrivals(network: Network, bytes: readonly number[]): number[] {
  const machine = createMachine({ topology: switchTopology() });
  const limits = network.capacities.map(
    (perNs, index): DeviceLimit => ({ name: `limit ${index}`, perNs }),
  );
  const times = network.weights.map(() => 0);
  network.weights.forEach((row, stream) => {
    const device = placed(machine, DEVICES[stream] as string);
    const amounts = row.flatMap((weight, index) =>
      weight === 0
        ? []
        : [{ limit: limits[index] as DeviceLimit, amount: weight * (bytes[stream] as number) }],
    );
    // To RAM, over links that were not captured: only the limits take time.
    const legs = [{ kind: "write" as const, runs: [0, bytes[stream] as number] }];
    device.port.transfer({ legs, limits: amounts }, () => {
      times[stream] = machine.clock.nowNs;
    });
  });
  machine.clock.run();
  const latencyNs = 273 + 105; // To RAM; below the switch one more.
  return times.map((time, stream) => time - (stream < 3 ? latencyNs : 273));
}

function placed(machine: Machine, bdf: string): MemoryDevice {
  const device = new MemoryDevice();
  machine.place(bdf, device);
  return device;
}

const amounts = fc.array(fc.integer({ min: 1_000_000, max: 1_000_000_000 }), {
  minLength: DEVICES.length,
  maxLength: DEVICES.length,
});

/** Rates of everybody from the start up to the first arrival. */
const firstArrival = (times: readonly number[], bytes: readonly number[]): [number, number] => {
  const index = times.indexOf(Math.min(...times));
  return [index, (bytes[index] as number) / (times[index] as number)];
};

describe("fair sharing", () => {
  it("gives the first to arrive the rate that water-filling gives it", () => {
    fc.assert(
      fc.property(networks, amounts, (network, bytes) => {
        const times = arrivals(network, bytes);
        const [first, rate] = firstArrival(times, bytes);

        expect(rate / (waterFilling(network)[first] as number)).toBeCloseTo(1, 3);
      }),
    );
  });

  it("gives everybody what water-filling gives, step by step, to the last byte", () => {
    fc.assert(
      fc.property(networks, amounts, (network, bytes) => {
        const times = arrivals(network, bytes);

        times.forEach((time, stream) => {
          expect(time / (expectedTimes(network, bytes)[stream] as number)).toBeCloseTo(1, 3);
        });
      }),
    );
  });

  it("carries no more through a limit than it can, and leaves none unused that somebody waits for", () => {
    fc.assert(
      fc.property(networks, (network) => {
        const rates = waterFilling(network);
        const bytes = rates.map((rate) => rate * 1_000_000);
        const times = arrivals(network, bytes);

        // Amounts in proportion to fair rates all arrive together: nobody was slower or faster at any moment.
        for (const time of times) {
          expect(time / 1_000_000).toBeCloseTo(1, 3);
        }
        const used = network.capacities.map(
          (capacity, limit) =>
            rates.reduce(
              (sum, rate, stream) => sum + rate * (network.weights[stream]?.[limit] ?? 0),
              0,
            ) / capacity,
        );
        expect(Math.max(...used)).toBeLessThanOrEqual(1 + 1e-9);
        expect(
          network.weights.every((row) =>
            row.some((weight, limit) => weight > 0 && (used[limit] as number) > 1 - 1e-9),
          ),
        ).toBe(true);
      }),
    );
  });

  it("is never faster for one because another came, where all share one limit", () => {
    const shared = fc.record({
      capacities: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 1 }),
      weights: fc.array(fc.constant([1]), { minLength: 2, maxLength: DEVICES.length }),
    });
    fc.assert(
      fc.property(shared, amounts, (network, bytes) => {
        const fewer = { ...network, weights: network.weights.slice(0, -1) };
        const alone = arrivals(fewer, bytes);
        const together = arrivals(network, bytes);

        alone.forEach((time, stream) => {
          expect(together[stream] as number).toBeGreaterThanOrEqual(time - 1e-6);
        });
      }),
    );
  });

  it("takes the same times in every run", () => {
    fc.assert(
      fc.property(networks, amounts, (network, bytes) => {
        expect(arrivals(network, bytes)).toEqual(arrivals(network, bytes));
      }),
      { numRuns: 20 },
    );
  });
});

/** The textbook again: rates hold until somebody is done, then the others share anew. */
function expectedTimes(network: Network, bytes: readonly number[]): number[] {
  const left = network.weights.map((_, stream) => bytes[stream] as number);
  const times = left.map(() => 0);
  let now = 0;
  for (let open = left.map((_, stream) => stream); open.length > 0; ) {
    const weights = open.map((stream) => network.weights[stream] as readonly number[]);
    const rates = waterFilling({ ...network, weights });
    const step = Math.min(
      ...open.map((stream, index) => (left[stream] as number) / (rates[index] as number)),
    );
    now += step;
    open.forEach((stream, index) => {
      left[stream] = (left[stream] as number) - step * (rates[index] as number);
      times[stream] = now;
    });
    open = open.filter((stream) => (left[stream] as number) > 1e-6 * (bytes[stream] as number));
  }
  return times;
}
