import { VirtualClock } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

describe("virtual clock", () => {
  it("runs events by time, and those of one moment in the order they were scheduled", () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.schedule(20, () => order.push(`late at ${clock.nowNs}`));
    clock.schedule(10, () => order.push(`first at ${clock.nowNs}`));
    clock.schedule(10, () => order.push(`second at ${clock.nowNs}`));

    expect(clock.run()).toBe(3);

    expect(order).toEqual(["first at 10", "second at 10", "late at 20"]);
    expect(clock.nowNs).toBe(20);
  });

  it("never runs an event inside schedule, not even one without delay", () => {
    const clock = new VirtualClock();
    let ran = false;

    clock.schedule(0, () => {
      ran = true;
    });

    expect(ran).toBe(false);
    clock.run();
    expect(ran).toBe(true);
  });

  it("takes a cancelled event back, and does not move for it", () => {
    const clock = new VirtualClock();
    const event = clock.schedule(1000, () => expect.unreachable());

    event.cancel();
    event.cancel();

    expect(clock.run()).toBe(0);
    expect(clock.nowNs).toBe(0);
  });

  it("stands at the time it was told to run to, later events still waiting", () => {
    const clock = new VirtualClock();
    clock.schedule(10, () => {});
    clock.schedule(11, () => {});

    expect(clock.runUntil(10)).toBe(1);
    expect(clock.nowNs).toBe(10);
    expect(clock.pendingCount).toBe(1);
    clock.run();
  });

  it("gets on by itself while a program awaits, letting it run before time moves on", async () => {
    const clock = new VirtualClock();
    const sleep = (ns: number) =>
      new Promise<void>((resolve) => {
        clock.schedule(ns, resolve);
      });
    const seen: number[] = [];
    const far = sleep(1_000_000).then(() => seen.push(clock.nowNs));

    await sleep(5);
    seen.push(clock.nowNs);
    await Promise.resolve();
    await sleep(7);
    seen.push(clock.nowNs);
    await far;

    expect(seen).toEqual([5, 12, 1_000_000]);
  });

  it("refuses a loop that never ends, and says where it stands", () => {
    const clock = new VirtualClock(1000);
    const again = clock.schedule.bind(clock);
    let count = 0;
    const loop = () => {
      if (count++ < 5000) {
        again(1, loop);
      }
    };
    clock.schedule(1, loop);

    expect(() => clock.run()).toThrow(expect.objectContaining({ code: "CLOCK_RUNAWAY" }));
    expect(clock.nowNs).toBe(1000);
    expect(() => clock.runUntil(1500)).not.toThrow();
    count = 5000;
    clock.run();
  });

  it("refuses a limit that is no count, and a time that is none", () => {
    const refused = expect.objectContaining({ code: "ARGUMENT_INVALID" });
    for (const limit of [0, -1, 1.5, Number.NaN]) {
      expect(() => new VirtualClock(limit)).toThrow(refused);
    }
    const clock = new VirtualClock();
    let ran = false;
    clock.schedule(5, () => {
      ran = true;
    });

    expect(() => clock.runUntil(Number.NaN)).toThrow(refused);
    expect(ran).toBe(false);
  });

  it("refuses negative and endless delays, and running inside an event", () => {
    const clock = new VirtualClock();
    for (const delay of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => clock.schedule(delay, () => {})).toThrow(
        expect.objectContaining({ code: "ARGUMENT_INVALID" }),
      );
    }
    clock.schedule(1, () => clock.run());

    expect(() => clock.run()).toThrow(expect.objectContaining({ code: "WRONG_ORDER" }));
  });

  it("goes on with the other events after one that threw", () => {
    const clock = new VirtualClock();
    let ran = false;
    clock.schedule(1, () => {
      throw new Error("device on fire");
    });
    clock.schedule(2, () => {
      ran = true;
    });

    expect(() => clock.run()).toThrow("device on fire");
    clock.run();

    expect(ran).toBe(true);
  });

  it("tells whoever asked what an event threw while it pumped itself, and runs the others of the moment", async () => {
    const clock = new VirtualClock();
    const heard: unknown[] = [];
    clock.onFailure = (error) => heard.push((error as Error).message);
    const ran: string[] = [];
    clock.schedule(5, () => ran.push("before"));
    clock.schedule(5, () => {
      throw new Error("device on fire");
    });
    clock.schedule(5, () => ran.push("after"));

    await new Promise<void>((resolve) => {
      clock.schedule(6, resolve);
    });

    expect(heard).toEqual(["device on fire"]);
    expect(ran).toEqual(["before", "after"]);
    expect(clock.nowNs).toBe(6);
  });

  it("throws to whoever called run even if somebody listens for failures", () => {
    const clock = new VirtualClock();
    clock.onFailure = () => expect.unreachable();
    clock.schedule(1, () => {
      throw new Error("device on fire");
    });

    expect(() => clock.run()).toThrow("device on fire");
  });

  it("keeps order under any mix of schedules and cancellations", () => {
    const delays = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean()), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(delays, (wanted) => {
        const clock = new VirtualClock();
        const ran: number[] = [];
        const events = wanted.map(([delay], index) => clock.schedule(delay, () => ran.push(index)));
        wanted.forEach(([, cancelled], index) => {
          if (cancelled) {
            events[index]?.cancel();
          }
        });

        clock.run();

        const expected = wanted
          .map(([delay, cancelled], index) => ({ delay, cancelled, index }))
          .filter(({ cancelled }) => !cancelled)
          .sort((one, other) => one.delay - other.delay || one.index - other.index);
        expect(ran).toEqual(expected.map(({ index }) => index));
      }),
    );
  });
});
