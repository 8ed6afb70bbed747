import { PeerbufError } from "@peerbuf/core";
import {
  createMachine,
  FAULT_KINDS,
  type FaultOptions,
  type FaultRule,
  injectFaults,
  RecordedChoices,
  ReplayedChoices,
  SeededChoices,
  seededFaults,
} from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { barStart, MemoryDevice, switchTopology } from "./small-machines.ts";

const DEVICE = "0000:03:00.0";
const PEER = "0000:04:00.0";
const PEER_BAR = barStart(4);
const NOWHERE = 0xf000_0000;
const BYTES = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const ONES = new Uint8Array(8).fill(0xff);

/** A device with a port and a peer with memory, and faults between them. */
function start(...rules: FaultRule[]) {
  return startWith({ rules });
}

function startWith(options: FaultOptions) {
  const machine = createMachine({ topology: switchTopology() });
  const device = new MemoryDevice();
  const peer = new MemoryDevice();
  machine.place(DEVICE, device);
  machine.place(PEER, peer);
  const faults = injectFaults(machine, options);
  const { port } = device;
  const vectors: number[] = [];
  machine.interruptsOf(machine.topology.require(DEVICE)).on(0, () => void vectors.push(0));
  return {
    machine,
    port,
    faults,
    vectors,
    write: (bytes: Uint8Array, address = PEER_BAR) => port.write(address, bytes, 0, bytes.length),
    read: (address = PEER_BAR) => {
      const bytes = new Uint8Array(8);
      const completion = port.read(address, bytes, 0, 8);
      return { bytes, completion };
    },
    /** What is in the peer's memory, past the bus. */
    held: () => {
      const bytes = new Uint8Array(8);
      machine.inspect.peek(PEER_BAR, bytes);
      return bytes;
    },
  };
}

describe("a request that is hit", () => {
  it("drop: a write vanishes, a read brings ones and says so, and both are on record", () => {
    const { write, read, held, faults } = start(
      { fault: "drop", device: DEVICE, kind: "write" },
      { fault: "drop", device: DEVICE, kind: "read" },
    );

    write(BYTES);
    const { bytes, completion } = read();

    expect(held()).toEqual(new Uint8Array(8));
    expect({ bytes, ...completion }).toEqual({ bytes: ONES, ok: false, lostBytes: 8 });
    expect(faults.injected()).toMatchObject([
      {
        number: 1,
        fault: "drop",
        rule: "rule 0",
        device: DEVICE,
        kind: "write",
        address: PEER_BAR,
      },
      { number: 2, fault: "drop", rule: "rule 1", device: DEVICE, kind: "read", lengthBytes: 8 },
    ]);
  });

  it("delay: what is posted behind a late write waits behind it, interrupts too", () => {
    const { machine, write, held, port, vectors } = start({ fault: "delay", delayNs: 500 });

    write(BYTES);
    write(Uint8Array.of(9));
    port.interrupt(0);
    machine.clock.runUntil(499);
    const [before, early] = [held(), [...vectors]];
    machine.clock.run();

    expect({ before, early }).toEqual({ before: new Uint8Array(8), early: [] });
    expect(held()).toEqual(Uint8Array.of(9, 2, 3, 4, 5, 6, 7, 8));
    expect(vectors).toEqual([0]);
  });

  it("delay: a read of the same device pushes its late writes ahead", () => {
    const { write, read } = start({ fault: "delay", delayNs: 500 });

    write(BYTES);

    expect(read().bytes).toEqual(BYTES);
  });

  it("delay: the bytes are those of the moment of sending", () => {
    const { machine, write, held } = start({ fault: "delay" });
    const bytes = BYTES.slice();

    write(bytes);
    bytes.fill(0);
    machine.clock.run();

    expect(held()).toEqual(BYTES);
  });

  it("reorder: the next write overtakes only with Relaxed Ordering", () => {
    const outcomeOf = (relaxedOrdering: boolean) => {
      const { machine, port, write, held, faults } = start({ fault: "reorder" });
      write(Uint8Array.of(1));
      port.as({ relaxedOrdering }).write(PEER_BAR, Uint8Array.of(2), 0, 1);
      machine.clock.run();
      return { first: held()[0], said: faults.injected().map(({ text }) => text) };
    };

    expect(outcomeOf(true)).toEqual({ first: 1, said: ["was overtaken by a later write"] });
    expect(outcomeOf(false)).toEqual({ first: 2, said: [] });
  });

  it("reorder: nothing overtakes it by way of a read or an interrupt, and it arrives in the end", () => {
    const { machine, write, read, held } = start({ fault: "reorder", delayNs: 100, times: 2 });

    write(BYTES);
    const { bytes } = read();
    write(Uint8Array.of(7));
    machine.clock.run();

    expect(bytes).toEqual(BYTES);
    expect(held()[0]).toBe(7);
  });

  it("duplicate: memory is read twice, an interrupt comes twice", () => {
    const { machine, read, port, vectors } = start(
      { fault: "duplicate", kind: "read" },
      { fault: "duplicate", kind: "interrupt" },
    );

    const { completion } = read();
    port.interrupt(0);
    machine.clock.run();

    expect(completion.ok).toBe(true);
    expect(machine.inspect.traffic(DEVICE).requests).toBe(2);
    expect(vectors).toEqual([0, 0]);
  });

  it("duplicate: a register is read once, since a second read could do something", () => {
    const { machine, port, faults } = start({ fault: "duplicate", kind: "read" });
    const offsets: number[] = [];
    machine.place("0000:05:00.0", {
      name: "registers",
      connect: () =>
        new Map([
          [
            0,
            {
              kind: "registers" as const,
              read: (offset: number) => offsets.push(offset),
              write: () => undefined,
            },
          ],
        ]),
      reset: () => undefined,
    });

    port.read(barStart(5), new Uint8Array(4), 0, 4);

    expect(offsets).toEqual([0]);
    expect(faults.injected()[0]?.text).toContain("left alone");
  });

  it("corrupt: one byte is another, and the record says which", () => {
    const { write, held, faults } = start({ fault: "corrupt", kind: "write" });

    write(BYTES);

    const changed = [...held()].flatMap((byte, index) => (byte === BYTES[index] ? [] : [index]));
    expect(changed).toHaveLength(1);
    expect(faults.injected()[0]?.text).toContain(`byte ${changed[0]} arrives changed`);
  });

  it("corrupt: the sender's own bytes stay what they are", () => {
    const { write } = start({ fault: "corrupt", kind: "write" });
    const bytes = BYTES.slice();

    write(bytes);

    expect(bytes).toEqual(BYTES);
  });

  it("iommu-fault: looks like the IOMMU's own in the fault log", () => {
    const { machine, read } = start({ fault: "iommu-fault" });

    expect(read().bytes).toEqual(ONES);
    expect(machine.inspect.recentFaults()).toMatchObject([
      { requester: DEVICE, address: PEER_BAR, reason: "IOMMU_NOT_PRESENT", at: "iommu" },
    ]);
  });

  it("device-lost: the function is off the bus until the rule is taken out", () => {
    const { machine, port, faults, read, write, held } = start();
    const rule = faults.add({ fault: "device-lost", device: DEVICE });

    const lost = read();
    write(BYTES);
    const isThere = machine.inspect.command(DEVICE).present;
    rule.remove();
    machine.setCommand(DEVICE, { memory: true, busMaster: true });
    port.write(PEER_BAR, BYTES, 0, 8);

    expect({ bytes: lost.bytes, isThere }).toEqual({ bytes: ONES, isThere: false });
    expect(machine.inspect.command(DEVICE).present).toBe(true);
    expect(held()).toEqual(BYTES);
  });

  it("engine-stall: planned work stands still, and goes on when the rule is taken out", () => {
    const { machine, port, faults } = start();
    const rule = faults.add({ fault: "engine-stall", device: DEVICE });
    const done: string[] = [];
    port.clock.schedule(10, () => done.push("event"));
    port.transfer({ legs: [{ kind: "read", runs: [PEER_BAR, 64] }] }, () => done.push("transfer"));

    machine.clock.run();
    const stalled = [...done];
    rule.remove();
    machine.clock.run();

    expect(stalled).toEqual([]);
    expect(done.toSorted()).toEqual(["event", "transfer"]);
  });

  it("fence-stuck: no interrupt comes any more, however often the device tries", () => {
    const { machine, port, faults, vectors } = start();
    const rule = faults.add({ fault: "fence-stuck", device: DEVICE, nth: 2 });

    for (let time = 0; time < 4; time++) {
      port.interrupt(0);
    }
    machine.clock.run();
    const came = vectors.length;
    rule.remove();
    port.interrupt(0);
    machine.clock.run();

    expect({ came, after: vectors.length }).toEqual({ came: 1, after: 2 });
  });
});

describe("which requests a rule hits", () => {
  it("those of its device, kind, address range and target; from the nth on, so many times", () => {
    const rules: FaultRule[] = [
      { fault: "drop", device: PEER },
      { fault: "drop", address: { from: PEER_BAR + 8, until: PEER_BAR + 16 } },
      { fault: "drop", target: "0000:05:00.0" },
      { fault: "drop", kind: "write", target: PEER, nth: 2, times: 2 },
    ];
    const { write, faults } = start(...rules);

    const dropped = [1, 2, 3, 4].map((value) => !write(Uint8Array.of(value)).ok);

    expect(dropped).toEqual([false, true, true, false]);
    expect(faults.injected().map(({ rule }) => rule)).toEqual(["rule 3", "rule 3"]);
  });

  it("an address range is hit by whoever touches a byte of it", () => {
    const address = { from: PEER_BAR + 4, until: PEER_BAR + 5 };
    const { port } = start({ fault: "drop", address, times: Number.POSITIVE_INFINITY });
    const isDropped = (offset: number, lengthBytes: number) =>
      !port.write(PEER_BAR + offset, BYTES, 0, lengthBytes).ok;

    expect([isDropped(0, 4), isDropped(0, 5), isDropped(4, 1), isDropped(5, 3)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it("a rule that is taken out hits nothing, and all of them are taken out together", () => {
    const { write, faults } = start();
    const first = faults.add({ fault: "drop", times: Number.POSITIVE_INFINITY });
    faults.add({ fault: "drop", times: Number.POSITIVE_INFINITY });

    first.remove();
    first.remove();
    const stillHit = !write(BYTES).ok;
    faults.remove();

    expect(stillHit).toBe(true);
    expect(write(BYTES).ok).toBe(true);
  });

  it("late writes are there at once when the faults are taken out", () => {
    const { write, held, faults } = start({ fault: "delay", delayNs: 1e9 });

    write(BYTES);
    faults.remove();

    expect(held()).toEqual(BYTES);
  });

  it.each<[string, FaultRule, string]>([
    ["a fault that there is not", { fault: "gremlin" as "drop" }, 'no fault "gremlin"'],
    ["a posted write twice", { fault: "duplicate", kind: "write" }, "exactly once"],
    ["a read out of order", { fault: "reorder", kind: "read" }, "only posted writes may be passed"],
    ["a late read", { fault: "delay", kind: "read" }, "answered in one step"],
    ["an unknown device", { fault: "drop", device: "0000:77:00.0" }, "0000:77:00.0"],
    ["a probability of 2", { fault: "drop", probability: 2 }, "2 is no probability"],
    ["the zeroth time", { fault: "drop", nth: 0 }, "nth 0"],
    ["an empty range", { fault: "drop", address: { from: 8, until: 8 } }, "range is empty"],
  ])("%s is refused", (_, rule, message) => {
    const { faults } = start();

    expect(() => faults.add(rule)).toThrow(message);
  });

  it("no more than 256 rules are at work", () => {
    const { faults } = start();
    for (let count = 0; count < 256; count++) {
      faults.add({ fault: "drop" });
    }

    expect(() => faults.add({ fault: "drop" })).toThrow(PeerbufError);
  });
});

describe("where decisions come from", () => {
  const sometimes: FaultRule = {
    fault: "corrupt",
    kind: "write",
    probability: 0.5,
    times: Number.POSITIVE_INFINITY,
  };

  /** 64 writes to different places; what arrived. */
  function sent(options: Omit<FaultOptions, "rules">) {
    const { port, machine, faults } = startWith({ ...options, rules: [sometimes] });
    for (let index = 0; index < 64; index++) {
      port.write(PEER_BAR + index * 8, BYTES, 0, 8);
    }
    const bytes = new Uint8Array(512);
    machine.inspect.peek(PEER_BAR, bytes);
    return { bytes, injected: faults.injected() };
  }

  it("a seed replays a run to the byte, another seed gives another run", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        expect(sent({ seed })).toEqual(sent({ seed }));
      }),
      { numRuns: 20 },
    );
    expect(sent({ seed: 1 }).bytes).not.toEqual(sent({ seed: 2 }).bytes);
  });

  it("a recording replays it too, without the seed", () => {
    const recorded = new RecordedChoices(new SeededChoices(7));
    const run = sent({ choices: recorded });

    expect(sent({ choices: new ReplayedChoices(recorded.answers) })).toEqual(run);
    expect(run.injected.length).toBeGreaterThan(16);
    expect(run.injected.length).toBeLessThan(48);
  });

  it("a recording of another run is noticed", () => {
    const choices = new ReplayedChoices([1, 99]);

    expect(() => sent({ choices })).toThrow("this is not the run that was recorded");
  });

  it("an explorer sees every course that the rules leave open", () => {
    const courses = new Set<string>();
    // Depth first over yes and no, as an explorer would; what is beyond the prefix is answered with no.
    const open: number[][] = [[]];
    for (let prefix = open.pop(); prefix !== undefined; prefix = open.pop()) {
      const asked: number[] = [];
      const given = prefix;
      const choices = {
        choose: () => {
          const answer = given[asked.length] ?? 0;
          asked.push(answer);
          return answer;
        },
      };
      const { write, faults } = startWith({
        choices,
        rules: [{ fault: "drop", probability: 0.5, times: 3 }],
      });
      courses.add(
        [1, 2, 3].map((value) => (write(Uint8Array.of(value)).ok ? "ok" : "drop")).join(),
      );
      expect(faults.injectedCount).toBe(asked.filter((answer) => answer === 1).length);
      for (let at = given.length; at < asked.length; at++) {
        open.push([...asked.slice(0, at), 1]);
      }
    }

    expect(courses.size).toBe(8);
  });

  it("rules from a seed are the same every time, and each is a rule that may be added", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 20 }), (seed, count) => {
        const rules = seededFaults(seed, { devices: [DEVICE, PEER], count });
        const { faults } = start();

        expect(rules).toEqual(seededFaults(seed, { devices: [DEVICE, PEER], count }));
        expect(rules).toHaveLength(count);
        for (const rule of rules) {
          faults.add(rule);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("whatever rules are at work, a posted write arrives once, changed, late or not at all, and nothing throws", () => {
    const rule = fc.record({
      fault: fc.constantFrom(...FAULT_KINDS),
      device: fc.constantFrom(DEVICE, PEER),
      nth: fc.integer({ min: 1, max: 8 }),
      delayNs: fc.nat(1000),
    });
    const step = fc.constantFrom("write", "relaxed", "read", "interrupt", "nowhere");
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 6 }),
        fc.array(step, { maxLength: 20 }),
        (rules, steps) => {
          const { machine, port, faults, write, read } = start(...rules);
          const relaxed = port.as({ relaxedOrdering: true });
          for (const each of steps) {
            switch (each) {
              case "write":
                write(BYTES);
                break;
              case "relaxed":
                relaxed.write(PEER_BAR, BYTES, 0, 8);
                break;
              case "read":
                read();
                break;
              case "nowhere":
                read(NOWHERE);
                break;
              case "interrupt":
                port.interrupt(0);
            }
          }
          machine.clock.run();
          faults.remove();
          machine.clock.run();

          expect(machine.failures.count).toBe(0);
          const writes = steps.filter((each) => each === "write" || each === "relaxed").length;
          expect(machine.inspect.traffic(DEVICE).writtenBytes).toBeLessThanOrEqual(8 * writes);
        },
      ),
      { numRuns: 150 },
    );
  });
});
