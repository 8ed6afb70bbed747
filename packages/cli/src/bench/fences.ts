/**
 * Fences: does the cost of one stay the same as there are more? Reservations are given fences for as
 * long as a buffer lives, and merges see every timeline of a machine.
 *
 * The baseline is the same work on a tenth of the size; the ratio is how much of its speed is left.
 */
import {
  type Fence,
  FenceDomain,
  LockOwner,
  mergeFences,
  Reservation,
  SoftwareFence,
} from "@peerbuf/core";
import { VirtualClock } from "@peerbuf/machine";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { elapsedNs, measure } from "./measure.ts";

/** Linear work keeps all of its speed but for caches; quadratic work keeps a tenth. */
const BAR = { ratio: ">= 0.4" };
/** Unsignaled at any time. */
const HELD_MAX = 64;
const EVENTS_PER_DRAIN_MAX = 1000;

/** Adds fences to a reservation that holds at most 64 unfinished ones, and tests it after each. */
export const reservationAdds: Bench = scaling("core.reservation-adds", 1_000_000, (count) => {
  const domain = newDomain();
  const reservation = new Reservation(domain, "bench");
  const owner = new LockOwner("bench");
  const held: SoftwareFence[] = [];
  const contexts = Array.from({ length: HELD_MAX }, (_, index) =>
    domain.createContext({ driverName: "bench", timelineName: `timeline ${index}` }),
  );
  reservation.tryLock(owner);
  reservation.reserveFences(HELD_MAX + 1);
  const elapsed = elapsedNs(() => {
    for (let index = 0; index < count; index++) {
      const fence = new SoftwareFence(contexts[index % HELD_MAX] as (typeof contexts)[0], index);
      held[index % HELD_MAX]?.signal();
      held[index % HELD_MAX] = fence;
      reservation.reserveFences(1);
      reservation.addFence(fence, "bookkeep");
      reservation.testSignaled("bookkeep");
    }
  });
  reservation.unlock(owner);
  return elapsed;
});

/** Merges fences of as many timelines into one, and signals them all. */
export const fenceMerge: Bench = scaling("core.fence-merge", 1000, (count) => {
  const domain = newDomain();
  const fences = Array.from({ length: count }, (_, index) => {
    const context = domain.createContext({ driverName: "bench", timelineName: `${index}` });
    return new SoftwareFence(context, 1);
  });
  return elapsedNs(() => {
    const merged: Fence = mergeFences(domain, fences);
    merged.enableSignaling();
    for (const fence of fences) {
      fence.signal();
    }
  });
});

/** `work` returns the ns it took for so many fences. Small sizes are repeated until they take as long. */
function scaling(name: string, count: number, work: (count: number) => number): Bench {
  return {
    name,
    run({ quick }): BenchResult {
      const large = quick ? Math.min(count, 2000) : count;
      const small = large / 10;
      const { value, baseline } = measure(
        quick ? 1 : 9,
        () => work(large) / large,
        () =>
          Array.from({ length: 10 }, () => work(small)).reduce((sum, ns) => sum + ns, 0) / large,
      );
      const ratio = baseline / value;
      return {
        name,
        unit: "ns/fence",
        value: rounded(value),
        baseline: { name: `the same with ${small} fences`, value: rounded(baseline) },
        ratio: rounded(ratio),
        bar: BAR,
        ok: meets(BAR, value, ratio),
      };
    },
  };
}

const newDomain = (): FenceDomain => new FenceDomain(new VirtualClock(EVENTS_PER_DRAIN_MAX));
