/**
 * Reduction: exhaustive search with partial-order reduction sees every outcome that plain exhaustive search sees.
 *
 * Random programs of a few actors on a few variables, with and without waiting for each other, each searched both ways.
 */

import { explore, type Scenario, type Script, step, type World } from "@peerbuf/testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** One piece of work: on which variable, and what; `wait` goes on when the variable is not 0, if it ever is. */
interface Work {
  readonly variable: number;
  readonly kind: "read" | "add" | "double" | "wait" | "event";
}

const workArbitrary: fc.Arbitrary<Work> = fc.record({
  variable: fc.nat(2),
  kind: fc.constantFrom("read", "add", "double", "wait", "event"),
});

const programArbitrary = fc.array(fc.array(workArbitrary, { minLength: 1, maxLength: 2 }), {
  minLength: 2,
  maxLength: 3,
});

/** What the actors have seen and left, for every schedule of a search. */
async function outcomes(program: Work[][], reduction: boolean, preemptionsMax?: number) {
  const seen = new Set<string>();
  let schedules = 0;
  const scenario: Scenario = {
    name: "random-program",
    isTracked: true,
    play(world) {
      const variables = [1, 0, 2];
      const notes: string[] = program.map(() => "");
      const note = (actor: number, text: string): void => {
        notes[actor] += `${text} `;
      };
      schedules++;
      // Two lanes for up to three actors: events of one lane keep the order in which they were scheduled.
      world.clock.lane("events of even actors");
      world.clock.lane("events of odd actors");
      const actors = program.map((work, actor) => ({
        name: `actor ${actor}`,
        run: () => script(world, work, actor, variables, note),
      }));
      // A run that was cut has seen nothing: it is recorded when all have finished, or nobody can.
      return { actors, check: () => void seen.add(JSON.stringify([notes, variables])) };
    },
  };
  const report = await explore(scenario, {
    strategy: "exhaustive",
    reduction,
    schedules: 4_000,
    goesOn: true,
    checkedEvery: 1_000_000,
    ...(preemptionsMax === undefined ? {} : { preemptionsMax }),
  });
  return { seen, schedules, report };
}

function* script(
  world: World,
  work: readonly Work[],
  actor: number,
  variables: number[],
  note: (actor: number, text: string) => void,
): Script {
  for (const { variable, kind } of work) {
    const name = `variable ${variable}`;
    const value = (): number => variables[variable] ?? 0;
    yield {
      ...step(kind, [name]),
      ...(kind === "wait" ? { until: () => value() !== 0 } : {}),
    };
    if (kind === "event") {
      world.clock.lanes[2 + (actor % 2)]?.schedule(0, () => {
        world.touches.add(world.touches.subject(name), true);
        variables[variable] = value() + 10;
      });
    } else if (kind === "read" || kind === "wait") {
      note(actor, String(value()));
    } else {
      variables[variable] = kind === "add" ? value() + 1 : value() * 2;
    }
  }
}

describe("partial-order reduction", () => {
  it("sees every outcome that plain search sees", async () => {
    await fc.assert(
      fc.asyncProperty(programArbitrary, async (program) => {
        const plain = await outcomes(program, false);
        fc.pre(plain.report.isComplete);
        const reduced = await outcomes(program, true);

        expect(reduced.report.isComplete).toBe(true);
        expect([...reduced.seen].sort()).toEqual([...plain.seen].sort());
        expect(reduced.report.failures > 0).toBe(plain.report.failures > 0);
        expect(reduced.report.schedules).toBeLessThanOrEqual(plain.report.schedules);
      }),
      { numRuns: 60 },
    );
  });

  it("finds whoever waits for ever, if plain search does", async () => {
    const program: Work[][] = [
      [{ variable: 1, kind: "wait" }],
      [{ variable: 0, kind: "read" }],
      [{ variable: 2, kind: "add" }],
    ];

    const { report } = await outcomes(program, true);

    expect(report.failure?.violation).toMatchObject({ rule: "SYN-020", subject: "actor 0" });
  });
});
