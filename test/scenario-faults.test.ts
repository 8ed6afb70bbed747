/**
 * Faults in scenarios: written in a file, reported, the same again in the next run, and over when they are over.
 */
import { InputError } from "@peerbuf/core";
import { FAULT_KINDS, type FaultRule, ReplayedChoices, seededFaults } from "@peerbuf/machine";
import fc from "fast-check";
import { type Outcome, openScenario } from "peerbuf";
import { describe, expect, it } from "vitest";

const GPU = "0000:13:00.0";
const NIC = "0000:15:00.0";
const DRIVE = "0000:16:00.0";

/** Not swiotlb: there the NIC has no way to the heap to begin with. */
const PLATFORMS = ["direct", "iommu", "iommu-lazy", "pass-through"] as const;

/** A GPU, a NIC and a drive; hurt by some, then the same again without faults. */
function scenarioWith(faults: readonly object[], more: object = {}) {
  const buffer = { size: 128 * 1024 };
  const viaDrive = { exporter: GPU, buffer, importer: DRIVE, operation: "nvme-write-read" };
  const viaNic = { exporter: GPU, buffer, importer: NIC, operation: "rdma-write" };
  return {
    capture: "server-05",
    devices: { [GPU]: { model: "gpu" }, [NIC]: { model: "rdma" }, [DRIVE]: { model: "nvme" } },
    faults,
    transfers: [
      { name: "hurt", ...viaDrive },
      { name: "hurt too", ...viaNic },
      { name: "well", ...viaDrive },
      { name: "well too", ...viaNic },
    ],
    ...more,
  };
}

async function run(scenario: object): Promise<Outcome[]> {
  const opened = await openScenario(scenario);
  const outcomes = await opened.all();
  await opened.close();
  const held = Object.entries(opened.machine().handles()).filter(([, count]) => count > 0);
  expect(held).toEqual([]);
  return outcomes;
}

/** What has to be the same in every run: everything but objects that are made anew. */
const course = (outcomes: readonly Outcome[]): unknown =>
  outcomes.map(({ arrived, error, elapsedNs, sha256, injected, losses, failures, leftBehind }) => ({
    arrived,
    error: error?.message,
    elapsedNs,
    sha256,
    injected,
    losses,
    failures,
    leftBehind,
  }));

describe("faults of a scenario", () => {
  it("strike during their transfer and are reported with it", async () => {
    const faults = [
      { fault: "corrupt", during: "hurt", device: DRIVE, kind: "read", target: GPU },
      { fault: "drop", during: "hurt too", device: NIC, kind: "read", target: GPU },
    ];

    const [hurt, hurtToo, well, wellToo] = (await run(scenarioWith(faults))) as [
      Outcome,
      Outcome,
      Outcome,
      Outcome,
    ];

    expect(hurt).toMatchObject({
      arrived: false,
      injected: [{ fault: "corrupt", place: DRIVE, rule: "faults[0]" }],
    });
    expect(hurtToo).toMatchObject({ arrived: false, error: { code: "DEVICE_FAILED" } });
    expect(hurtToo.injected).toMatchObject([{ fault: "drop", place: NIC, kind: "read" }]);
    expect([well.arrived, wellToo.arrived]).toEqual([true, true]);
    expect([...well.injected, ...wellToo.injected]).toEqual([]);
  });

  it.each(["refuse-memory", "refuse-coherent", "refuse-mapping"])(
    "%s: the driver is refused as by the platform, and leaves nothing behind",
    async (fault) => {
      const device = fault === "refuse-memory" ? GPU : DRIVE;
      const faults = [{ fault, during: "hurt", device, times: "always" }];
      const hidden = scenarioWith(faults);
      const [first, ...others] = hidden.transfers;
      const transfers = [
        { ...first, buffer: { size: 128 * 1024, place: "hidden" }, operation: "nvme-write" },
        ...others,
      ];
      const devices = { ...hidden.devices, [GPU]: { model: "gpu", vram: "64 MiB" } };

      const [hurt, , well] = await run({ ...hidden, devices, transfers });

      expect(hurt?.error).toMatchObject({ errno: "ENOMEM" });
      expect(hurt?.injected.length).toBeGreaterThan(0);
      expect(hurt?.leftBehind).toEqual([]);
      expect(well?.arrived).toBe(true);
    },
  );

  it.each([NIC, DRIVE])(
    "whichever piece of coherent memory is refused to %s, the pieces before it are given back",
    async (device) => {
      let refusedCount = 0;
      for (let nth = 1; nth <= 12; nth++) {
        const faults = ["hurt", "hurt too"].map((during) => ({
          ...{ fault: "refuse-coherent", during, device, nth },
        }));

        const outcomes = await run(scenarioWith(faults));

        expect(outcomes.flatMap(({ leftBehind }) => leftBehind)).toEqual([]);
        expect(outcomes.slice(2).map(({ arrived }) => arrived)).toEqual([true, true]);
        refusedCount += outcomes.flatMap(({ injected }) => injected).length;
      }
      expect(refusedCount).toBeGreaterThan(0);
    },
  );

  it.each([
    ["an unknown fault", { fault: "gremlin" }, /faults\[0\]\.fault: /],
    [
      "a transfer that there is not",
      { fault: "drop", during: "x" },
      /faults\[0\]\.during: no tran/,
    ],
    ["a device that there is not", { fault: "drop", device: "77:00.0" }, /faults\[0\]: 77:00\.0/],
    [
      "what the bus does not do",
      { fault: "duplicate", kind: "write" },
      /faults\[0\]: .*exactly once/,
    ],
  ])("%s is refused with its place", async (_, fault, message) => {
    const refused = openScenario(scenarioWith([fault]));

    await expect(refused).rejects.toThrow(InputError);
    await expect(refused).rejects.toThrow(message);
  });

  it("may be decided by an explorer, which sees both courses", async () => {
    const fault = { fault: "drop", device: DRIVE, kind: "read", target: GPU };
    const faults = [{ ...fault, probability: 0.5, during: "hurt" }];
    const plans = scenarioWith(faults).transfers.slice(0, 1);
    const courses: boolean[] = [];
    for (const answers of [[0], [1]]) {
      const choices = new ReplayedChoices(answers);
      const opened = await openScenario({ ...scenarioWith(faults), transfers: plans }, { choices });
      courses.push((await opened.transfer("hurt")).arrived);
      await opened.close();
    }

    expect(courses).toEqual([true, false]);
  });

  it("may come from a seed", async () => {
    const faults = [{ seed: 5, count: 3, devices: ["13:00.0", "15:00.0", "16:00.0"] }];

    const outcomes = await run(scenarioWith(faults));

    expect(outcomes).toHaveLength(4);
    expect(course(outcomes)).toEqual(course(await run(scenarioWith(faults))));
  });
});

/** A rule as a scenario writes it, for one of the two transfers that may be hurt. */
const written = (rule: FaultRule, during: string): object => ({ ...rule, during });

describe("whatever faults strike, on every such platform", () => {
  it("a run comes to its end, hurts only its own transfers, holds nothing, and is the same again", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.constantFrom(...PLATFORMS),
        fc.integer({ min: 1, max: 4 }),
        async (seed, dma, count) => {
          const rules = seededFaults(seed, { devices: [GPU, NIC, DRIVE], count, nthMax: 8 });
          const faults = rules.map((rule, index) =>
            written(rule, index % 2 === 0 ? "hurt" : "hurt too"),
          );
          const scenario = scenarioWith(faults, { machine: { dma, seed: seed % 2 ** 32 } });

          const outcomes = await run(scenario);

          const [hurt, hurtToo, well, wellToo] = outcomes as [Outcome, Outcome, Outcome, Outcome];
          expect({ well: well.error?.message, too: wellToo.error?.message }).toEqual({});
          expect([well.arrived, wellToo.arrived]).toEqual([true, true]);
          for (const outcome of [hurt, hurtToo]) {
            expect(outcome.failures).toEqual([]);
            expect(outcome.arrived || outcome.injected.length > 0).toBe(true);
          }
          expect(course(await run(scenario))).toEqual(course(outcomes));
        },
      ),
      { numRuns: 15 },
    );
  });

  it("there is a fault of every kind among them", () => {
    const kinds = new Set(
      Array.from({ length: 100 }, (_, seed) => seededFaults(seed, { devices: [GPU] })[0]?.fault),
    );

    expect(kinds).toEqual(new Set(FAULT_KINDS));
  });
});
