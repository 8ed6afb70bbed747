/** All pairs: verdicts of 4,096 functions at once, against the kernel's walk pair by pair. */
import { assert } from "@peerbuf/core";
import { judgeAllPairs, judgePairByPair, regularFabric, rulesForKernel } from "@peerbuf/topology";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { elapsedNs, measure } from "./measure.ts";

const ENDPOINTS = 4096;
/** Every fourth function in both directions: as near and as far from each other as all of them. */
const SAMPLE_STEP = 4;
const BAR = { ratio: ">= 10" };

export const allPairs: Bench = {
  name: "topology.all-pairs",
  run({ quick }): BenchResult {
    const topology = regularFabric(ENDPOINTS);
    const rules = rulesForKernel();
    const pairCount = topology.endpoints.length ** 2;
    const sample = topology.endpoints.filter((_, index) => index % SAMPLE_STEP === 0);
    const same = [judgeAllPairs, judgePairByPair].map((judge) => judge(topology, rules, sample));
    assert(
      JSON.stringify(same[0]?.counts()) === JSON.stringify(same[1]?.counts()),
      "both sides come to the same verdicts",
    );
    const { value, baseline } = measure(
      quick ? 1 : 9,
      () => elapsedNs(() => judgeAllPairs(topology, rules)) / pairCount,
      () => elapsedNs(() => judgePairByPair(topology, rules, sample)) / sample.length ** 2,
    );
    const ratio = baseline / value;
    return {
      name: this.name,
      unit: "ns/pair",
      value: rounded(value),
      baseline: { name: "pair-by-pair", value: rounded(baseline) },
      ratio: rounded(ratio),
      bar: BAR,
      ok: meets(BAR, value, ratio),
    };
  },
};
