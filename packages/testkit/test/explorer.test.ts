/** The explorer: what it promises of its runs, whatever the scenario. */
import { DMA, defineExporter, HOST_MEMORY, PeerbufError } from "@peerbuf/core";
import {
  createChecker,
  EXAMPLES,
  explore,
  FAULT_KINDS,
  readToken,
  replay,
  type Scenario,
  type Script,
  scenariosFor,
  step,
  writeToken,
} from "@peerbuf/testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const checker = createChecker;
const exampleNames = EXAMPLES.map((each) => [each.name, each] as const);

/** Two actors add 1 to a number in two steps each: an update is lost when they interleave. */
const lostUpdate: Scenario = {
  name: "lost-update",
  play(world) {
    let counter = 0;
    function* adds(): Script {
      yield step("reads", ["counter"]);
      const seen = counter;
      yield step("writes", ["counter"]);
      counter = seen + 1;
    }
    return {
      actors: [
        { name: "one", run: adds },
        { name: "other", run: adds },
        { name: "bystander", run: bystander },
      ],
      check() {
        if (counter !== 2) {
          world.report("EXP-031", `the counter is ${counter}`, "counter");
        }
      },
    };
  },
};

function* bystander(): Script {
  for (let turn = 0; turn < 5; turn++) {
    yield step("does something else", ["its own"]);
  }
}

describe("a correct scenario", () => {
  it.each(exampleNames)(
    "%s breaks no rule in any schedule with one turn taken away",
    async (_name, scenario) => {
      const report = await explore(scenario, {
        strategy: "exhaustive",
        preemptionsMax: 1,
        schedules: 20_000,
      });

      expect(report.failure).toBeUndefined();
      expect(report.isComplete).toBe(true);
    },
  );

  it.each(exampleNames)(
    "%s survives faults of every kind, and the checker agrees",
    async (_name, scenario) => {
      const faults = FAULT_KINDS;
      const report = await explore(scenario, { schedules: 300, faults, faultsMax: 3, checker });

      expect(report.failure?.story).toBeUndefined();
      expect(Object.keys(report.faults).length).toBeGreaterThan(8);
    },
  );
});

describe("strategies", () => {
  it.each(["random", "pct", "exhaustive", "portfolio"] as const)(
    "%s finds a lost update and tells it in few steps",
    async (strategy) => {
      const { failure } = await explore(lostUpdate, { strategy, schedules: 2_000 });

      expect(failure?.violation).toMatchObject({ rule: "EXP-031", text: "the counter is 1" });
      // One turn taken away, and nothing else: of all the rest the plain answer is enough.
      expect(failure?.choices.filter((choice) => choice !== 0).length).toBeLessThanOrEqual(2);
      expect(failure?.story).toContain("EXP-031 is broken");
      expect(failure?.story).toContain("written in: ");
    },
  );

  it("a bound on preemptions leaves out what needs more of them", async () => {
    const none = await explore(lostUpdate, { strategy: "exhaustive", preemptionsMax: 0 });
    const one = await explore(lostUpdate, { strategy: "exhaustive", preemptionsMax: 1 });

    expect([none.failures, none.isComplete]).toEqual([0, true]);
    expect(one.failures).toBe(1);
  });

  it("a share of a campaign is the part of the whole that it says", async () => {
    const whole = await explore(lostUpdate, { seed: 7, schedules: 40, goesOn: true });
    const first = await explore(lostUpdate, { seed: 7, schedules: 25, goesOn: true });
    const rest = await explore(lostUpdate, { seed: 7, first: 25, schedules: 15, goesOn: true });

    expect(first.failures + rest.failures).toBe(whole.failures);
  });
});

describe("a token", () => {
  it("replays the very same run", async () => {
    const { failure } = await explore(lostUpdate, { schedules: 1_000 });
    const token = failure?.token ?? "";

    const one = await replay([lostUpdate], token);
    const other = await replay([lostUpdate], token);

    expect(one.violations[0]).toMatchObject({ rule: "EXP-031" });
    expect(one.story).toBe(failure?.story);
    expect(other).toEqual(one);
  });

  it("says every list of choices and faults, and nothing else", () => {
    const tokens = fc.record({
      scenario: fc.stringMatching(/^[a-z][a-z0-9/-]{0,20}$/),
      faults: fc.uniqueArray(fc.constantFrom(...FAULT_KINDS)),
      choices: fc.array(fc.oneof(fc.constant(0), fc.nat(80)), { maxLength: 60 }),
    });
    fc.assert(
      fc.property(tokens, fc.integer({ min: 1, max: 9 }), (parts, most) => {
        const faultsMax = parts.faults.length === 0 ? 0 : most;
        const token = { ...parts, faultsMax };

        expect(readToken(writeToken(token))).toEqual(token);
      }),
    );
  });

  it("of another form is refused with what to do", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(readToken(text).scenario).not.toBe("");
        } catch (error) {
          expect(error).toMatchObject({ name: "InputError" });
        }
      }),
    );
  });
});

describe("what does not come from decisions", () => {
  it("is found and named", async () => {
    let runs = 0;
    const moody: Scenario = {
      name: "moody",
      play: (world) => ({
        actors: [
          {
            name: "moody one",
            *run() {
              yield step("decides");
              world.say(`number ${runs++}`);
            },
          },
        ],
      }),
    };

    const told = await explore({ ...moody, play: (world) => changing(world, moody, runs) }, {});

    expect(told.nondeterminism).toMatchObject({ actor: "moody one" });
    expect(told.nondeterminism?.text).toContain("another step");
  });
});

/** A scenario that keeps state from one play to the next: an actor more every other time. */
function changing(world: Parameters<Scenario["play"]>[0], scenario: Scenario, runs: number) {
  const play = scenario.play(world);
  const more = runs % 2 === 0 ? [] : [{ name: "guest", run: bystander }];
  return { ...play, actors: [...play.actors, ...more] };
}

describe("whoever cannot finish", () => {
  it("breaks SYN-020, with names and what they wait for", async () => {
    const stuck: Scenario = {
      name: "stuck",
      play: () => ({
        actors: [
          {
            name: "waiter",
            *run() {
              yield { label: "waits for a bus", until: () => false };
            },
          },
        ],
      }),
    };

    const { failure } = await explore(stuck, { schedules: 5 });

    expect(failure?.violation.rule).toBe("SYN-020");
    expect(failure?.violation.text).toContain('waiter ("waits for a bus")');
  });

  it("also where a promise is never settled", async () => {
    const forgotten: Scenario = {
      name: "forgotten",
      play: () => ({
        actors: [
          {
            name: "waiter",
            *run() {
              yield { label: "waits for news", promise: new Promise(() => undefined) };
            },
          },
        ],
      }),
    };

    expect((await explore(forgotten, { schedules: 5 })).failure?.violation.rule).toBe("SYN-020");
  });

  it("gives who is slow the turns that the scenario says", async () => {
    const slow: Scenario = {
      name: "slow",
      play: () => ({
        actors: [
          {
            name: "slow",
            *run() {
              for (let turn = 0; turn < 6_000; turn++) {
                yield step("knocks");
              }
            },
          },
        ],
      }),
    };

    const cutOff = await explore(slow, { schedules: 1 });
    const finished = await explore({ ...slow, livenessTurnsMax: 10_000 }, { schedules: 1 });

    expect(cutOff.failure?.violation.rule).toBe("SYN-020");
    expect(finished.failure).toBeUndefined();
  });
});

describe("a driver that nobody knows", () => {
  const heap = (gives: (free: () => void) => void) =>
    defineExporter({
      name: "heap",
      needsDevice: false,
      open(services) {
        const memory = services.get(HOST_MEMORY);
        return {
          api: {},
          allocate(sizeBytes) {
            const pages = memory.allocate(sizeBytes);
            return {
              types: [{ type: DMA }],
              place: () => ({ target: "system", ranges: pages.ranges }),
              release: () => gives(() => memory.free(pages)),
            };
          },
        };
      },
    });

  it("is explored in scenarios for its role, with faults", async () => {
    for (const scenario of scenariosFor(heap((free) => free()))) {
      const report = await explore(scenario, {
        schedules: 150,
        faults: FAULT_KINDS,
        faultsMax: 2,
        checker,
      });

      expect(report.failure?.story, scenario.name).toBeUndefined();
      expect(report.transitions.steps().find(({ name }) => name === "map")?.count).toBeGreaterThan(
        0,
      );
    }
  });

  it("that forgets its pages breaks a rule in every schedule", async () => {
    const [scenario] = scenariosFor(heap(() => undefined));

    const report = await explore(scenario as Scenario, { schedules: 10 });

    expect(report.failure?.violation.rule).toBe("EXP-021");
  });

  it("that cannot even be opened is an error and no schedule", async () => {
    const shy = defineExporter({
      name: "shy",
      needsDevice: false,
      open(): never {
        throw new PeerbufError("SERVICE_MISSING", "there is no such thing here");
      },
    });

    const [scenario] = scenariosFor(shy);

    await expect(explore(scenario as Scenario)).rejects.toMatchObject({ code: "SERVICE_MISSING" });
  });
});
