/**
 * Captured pairs: from a capture on disk to the verdicts on all ordered pairs of its devices.
 *
 * 1,710 endpoints with their bridges are 4,098 functions.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "@peerbuf/core";
import { judgeAllPairs, readCapture, regularFabric, rulesForKernel } from "@peerbuf/topology";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { captureText } from "./large-capture.ts";
import { medianOf } from "./measure.ts";

const ENDPOINTS = { full: 1710, quick: 256 } as const;
const ROUNDS = { full: 5, quick: 1 } as const;
const BAR = { value: "<= 1000" };

export const capturedPairs: Bench = {
  name: "topology.captured-pairs",
  async run({ quick }): Promise<BenchResult> {
    const kind = quick ? "quick" : "full";
    const folder = mkdtempSync(join(tmpdir(), "peerbuf-bench-"));
    try {
      const value = await timeOf(join(folder, "sysfs.json"), ENDPOINTS[kind], ROUNDS[kind]);
      return {
        name: this.name,
        unit: "ms",
        value: rounded(value),
        bar: BAR,
        ok: meets(BAR, value, undefined),
      };
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

/** Milliseconds, the median of several rounds; the first warms up. */
async function timeOf(path: string, endpointCount: number, rounds: number): Promise<number> {
  const machine = regularFabric(endpointCount);
  const rules = rulesForKernel();
  writeFileSync(path, captureText(machine));
  const wanted = JSON.stringify(judgeAllPairs(machine, rules).counts());
  const figures: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const startMs = performance.now();
    const pairs = judgeAllPairs(await readCapture(path), rules);
    figures.push(performance.now() - startMs);
    assert(JSON.stringify(pairs.counts()) === wanted, "the capture says what the machine is");
  }
  return medianOf(figures.slice(1));
}
