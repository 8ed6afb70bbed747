/** The clock of real Linux: time of the kernel, events in the order in which they are due. */
import { MonotonicClock } from "@peerbuf/linux";
import { expect, it } from "vitest";

const LATE_NS = 900_000;
const SOON_NS = 100_000;

it("runs what is due first first, also within a millisecond", async () => {
  const clock = new MonotonicClock();
  for (let tries = 0, isSure = false; !isSure; tries++) {
    expect(tries, "this machine never makes two calls within half a millisecond").toBeLessThan(
      1000,
    );
    const ran: string[] = [];
    const beganNs = clock.nowNs;
    const late = new Promise<void>((done) =>
      clock.schedule(LATE_NS, () => {
        ran.push("late");
        done();
      }),
    );
    clock.schedule(SOON_NS, () => void ran.push("soon"));
    isSure = clock.nowNs + SOON_NS < beganNs + LATE_NS;
    await late;
    if (isSure) {
      expect(ran).toEqual(["soon", "late"]);
    }
  }
});

it("never runs an event early, and none that was taken back", async () => {
  const clock = new MonotonicClock();
  let isCancelledRun = false;
  const dueNs = clock.nowNs + 2_000_000;
  const taken = clock.schedule(1_000_000, () => {
    isCancelledRun = true;
  });
  const ranNs = new Promise<number>((done) => clock.schedule(2_000_000, () => done(clock.nowNs)));
  taken.cancel();
  taken.cancel();

  expect(await ranNs).toBeGreaterThanOrEqual(dueNs);
  expect(isCancelledRun).toBe(false);
});
