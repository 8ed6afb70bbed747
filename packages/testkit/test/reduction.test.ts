/**
 * Reduction: exhaustive search with partial-order reduction sees every outcome that plain exhaustive search sees.
 *
 * Random programs (`random-program.ts`) are searched both ways; so are the kit's examples, by their traces: plain search
 * and reduced search see the same ones, and the reduced one sees each of them once.
 */
import {
  createChecker,
  EXAMPLES,
  type ExploreOptions,
  type ExploreReport,
  explore,
  type FaultKind,
  type Scenario,
} from "@peerbuf/testkit";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PlainSearch } from "../src/explorer/exhaustive.ts";
import { ReducedSearch } from "../src/explorer/reduced-search.ts";
import { executeRun } from "../src/explorer/run.ts";
import { KINDS, type Program, programs, scenarioOf, type Work } from "./random-program.ts";

const RUNS_MAX = 800;

interface Outcomes {
  readonly seen: string[];
  readonly report: ExploreReport;
}

async function outcomes(program: Program, options: ExploreOptions): Promise<Outcomes> {
  const seen = new Set<string>();
  const report = await explore(scenarioOf(program, seen), {
    strategy: "exhaustive",
    schedules: RUNS_MAX,
    goesOn: true,
    checkedEvery: 1_000_000,
    ...options,
  });
  return { seen: [...seen].sort(), report };
}

/** Both searches of random programs see the same, where plain search comes to an end. */
async function expectSameOutcomes(
  kinds: readonly Work["kind"][],
  numRuns: number,
  options: ExploreOptions = {},
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(programs(kinds), async (program) => {
      const plain = await outcomes(program, { ...options, reduction: false });
      fc.pre(plain.report.isComplete);
      const reduced = await outcomes(program, { ...options, schedules: 4 * RUNS_MAX });

      expect(reduced.report.isComplete).toBe(true);
      expect(reduced.seen).toEqual(plain.seen);
      expect(reduced.report.failures > 0).toBe(plain.report.failures > 0);
    }),
    { numRuns },
  );
}

const without = (...left: Work["kind"][]): readonly Work["kind"][] =>
  KINDS.filter((kind) => !left.includes(kind));
const PROMISES: Work["kind"][] = ["promise", "resolve"];
const LATE: Work["kind"] = "late-event";

describe("partial-order reduction of random programs", () => {
  it("sees every outcome of reads, changes, conditions, locks, fences and events", async () => {
    await expectSameOutcomes(without(...PROMISES, LATE, "fault", "answer"), 300);
  });

  it("sees every outcome of answers and faults at calls", async () => {
    const kinds: Work["kind"][] = ["read", "add", "double", "wait", "event", "answer", "fault"];
    await expectSameOutcomes(kinds, 120, { faults: ["dma-refused"] });
  });

  it("sees every outcome of faults that come by themselves", async () => {
    const kinds: Work["kind"][] = ["read", "add", "double", "wait", "event"];
    await expectSameOutcomes(kinds, 40, { faults: ["eviction-storm"] });
  });

  it("sees every outcome where time has a say", async () => {
    await expectSameOutcomes(without(...PROMISES, "fault", "answer"), 100);
  });

  it("sees every outcome of promises", async () => {
    await expectSameOutcomes(["read", "add", "double", "wait", ...PROMISES], 40);
  });

  it("sees within a bound on preemptions what plain search sees within it", async () => {
    await expectSameOutcomes(without(...PROMISES), 100, { preemptionsMax: 1 });
  });

  it("finds whoever waits for ever, if plain search does", async () => {
    const { report } = await outcomes(
      [
        [{ variable: 1, kind: "wait" }],
        [{ variable: 0, kind: "read" }],
        [{ variable: 2, kind: "add" }],
      ],
      {},
    );

    expect(report.failure?.violation).toMatchObject({ rule: "SYN-020", subject: "actor 0" });
  });

  it("tries a fault at each call and in each place, with it and without", async () => {
    const program: Program = [[{ variable: 0, kind: "fault" }], [{ variable: 1, kind: "fault" }]];

    const { seen, report } = await outcomes(program, { faults: ["dma-refused"] });
    const storms = await outcomes(program, { faults: ["eviction-storm"] });

    expect(seen.map((text) => JSON.parse(text)[1])).toEqual([
      [1, 0, 2],
      [1, 100, 2],
      [101, 0, 2],
    ]);
    expect(report.faults["dma-refused"]).toBeGreaterThan(0);
    expect(storms.seen.map((text) => JSON.parse(text)[1])).toEqual([
      [1, 0, 2],
      [1001, 0, 2],
    ]);
  });
});

/** Runs of a search, and how often it saw each trace. */
async function tracesOf(
  scenario: Scenario,
  strategy: PlainSearch | ReducedSearch,
  faults: readonly FaultKind[] = [],
) {
  const subjects = new Map<string, number>();
  const traces = new Map<number, number>();
  let runs = 0;
  for (; strategy.begin(); runs++) {
    const { isCut } = await executeRun({ scenario, strategy, subjects, faults });
    if (!isCut) {
      traces.set(strategy.trace, (traces.get(strategy.trace) ?? 0) + 1);
    }
  }
  return { runs, traces };
}

describe.each(EXAMPLES)("partial-order reduction of $name", (example) => {
  it("sees each trace that plain search sees within two preemptions, and each once", async () => {
    const plain = await tracesOf(example, new PlainSearch(false, 2));
    const reduced = await tracesOf(example, new ReducedSearch());

    expect([...plain.traces.keys()].filter((trace) => !reduced.traces.has(trace))).toEqual([]);
    expect(Math.max(...reduced.traces.values())).toBe(1);
  });

  it.each(["map-exhausted", "lost-fence"] as const)(
    "sees each trace with %s as well",
    async (fault) => {
      const plain = await tracesOf(example, new PlainSearch(false, 1), [fault]);
      const reduced = await tracesOf(example, new ReducedSearch(), [fault]);

      expect([...plain.traces.keys()].filter((trace) => !reduced.traces.has(trace))).toEqual([]);
    },
  );

  it("needs at most a tenth of the schedules of plain search, and finds no mistake either", async () => {
    const options = { strategy: "exhaustive", schedules: 100_000 } as const;
    const plain = await explore(example, { ...options, preemptionsMax: 2, reduction: false });
    const reduced = await explore(example, { ...options, checker: createChecker });

    expect(plain).toMatchObject({ isComplete: true, failures: 0 });
    expect(reduced).toMatchObject({ isComplete: true, failures: 0 });
    expect(10 * (reduced.schedules + reduced.cut)).toBeLessThanOrEqual(plain.schedules);
  });

  it("needs fewer schedules within a bound as well", async () => {
    const options = { strategy: "exhaustive", schedules: 100_000, preemptionsMax: 2 } as const;
    const plain = await explore(example, { ...options, reduction: false });
    const reduced = await explore(example, options);

    expect(reduced).toMatchObject({ isComplete: true, failures: 0 });
    expect(3 * (reduced.schedules + reduced.cut)).toBeLessThanOrEqual(plain.schedules);
  });
});
