/**
 * Several importers on several buffers, in any order, against a small model of what must be true.
 *
 * After each step: the contents are right, counts of mappings, pins and attachments are right, and a
 * device that goes on with addresses it no longer has reaches nothing. At the end everything is back.
 */
import { fileURLToPath } from "node:url";
import { readCapture } from "@peerbuf/topology";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Choice, cpuAccess, restore, STEPS, type StepName } from "./sharing/steps.ts";
import { type Tally, World } from "./sharing/world.ts";

const topology = await readCapture(
  fileURLToPath(new URL("fixtures/captures/server-05", import.meta.url)),
);

/** What one whole run does at most, and how often it is run. */
const STEPS_PER_RUN = 450;
const RUNS = 600;
const STEPS_AT_LEAST = 100_000;

const WAITING_STEPS = { restore, cpuAccess };
type AnyStep = StepName | keyof typeof WAITING_STEPS;

class Step implements fc.AsyncCommand<object, World> {
  readonly #name: AnyStep;
  readonly #choice: Choice;

  constructor(name: AnyStep, choice: Choice) {
    this.#name = name;
    this.#choice = choice;
  }

  check(): boolean {
    return true;
  }

  async run(_model: object, world: World): Promise<void> {
    const name = this.#name;
    if (name in WAITING_STEPS) {
      await WAITING_STEPS[name as keyof typeof WAITING_STEPS](world, this.#choice);
      world.check();
    } else {
      world.step(() => STEPS[name as StepName](world, this.#choice));
    }
  }

  toString(): string {
    return `${this.#name}(${this.#choice.one}, ${this.#choice.other})`;
  }
}

/** Common steps are drawn more often than rare ones. */
const WEIGHTS: Partial<Record<AnyStep, number>> = {
  revoke: 1,
  restore: 4,
  attach: 8,
  map: 12,
  unmap: 6,
};

const anyStep = fc
  .tuple(
    fc.oneof(
      ...[...Object.keys(STEPS), ...Object.keys(WAITING_STEPS)].map((name) => ({
        arbitrary: fc.constant(name as AnyStep),
        weight: WEIGHTS[name as StepName] ?? 5,
      })),
    ),
    fc.nat(63),
    fc.nat(63),
  )
  .map(([name, one, other]) => new Step(name, { one, other }));

/** `PEERBUF_SEED=n npx vitest run test/sharing-model.test.ts` repeats a run. */
const given = Number(process.env["PEERBUF_SEED"]);
const seed = Number.isSafeInteger(given) && given > 0 ? given : Math.floor(Math.random() * 2 ** 31);

/** On the guard alone, and with less runs where an IOMMU translates and nothing guards. */
const PLATFORMS = [
  { dma: "direct", runs: RUNS, stepsAtLeast: STEPS_AT_LEAST },
  { dma: "iommu", runs: RUNS / 6, stepsAtLeast: STEPS_AT_LEAST / 8 },
] as const;

it.each(PLATFORMS)(
  "$dma: whatever several importers do with shared buffers, bytes and counts stay right",
  async ({ dma, runs, stepsAtLeast }) => {
    const tally: Tally = {
      p2pMap: 0,
      systemMap: 0,
      declined: 0,
      move: 0,
      copy: 0,
      revoke: 0,
      restore: 0,
      write: 0,
      read: 0,
      cpu: 0,
      dead: 0,
    };
    let steps = 0;

    await fc.assert(
      fc.asyncProperty(
        fc.commands([anyStep], { maxCommands: STEPS_PER_RUN, size: "max" }),
        async (commands) => {
          const world = new World(topology, tally, { dma });
          await fc.asyncModelRun(() => ({ model: {}, real: world }), commands);
          await world.end();
          steps += [...commands].length;
        },
      ),
      { numRuns: runs, seed },
    );

    console.info(`sharing model on ${dma}: seed ${seed}, ${steps} steps, ${JSON.stringify(tally)}`);
    expect(steps).toBeGreaterThanOrEqual(stepsAtLeast);
    for (const [what, times] of Object.entries(tally)) {
      expect(times, `${what} hardly ever happened`).toBeGreaterThan(stepsAtLeast / 1000);
    }
  },
  120_000,
);
