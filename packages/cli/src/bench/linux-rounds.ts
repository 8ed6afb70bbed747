/**
 * Linux rounds: alternating rounds of work that waits for the event loop, as `measure` does for work that does not.
 */
import { performance } from "node:perf_hooks";
import { type Bar, type BenchOptions, type BenchResult, meets, rounded } from "./bench.ts";
import { type Medians, medianOf } from "./measure.ts";

/** Does its work so many times. */
export type Work = (times: number) => Promise<void>;

/** Nanoseconds that one takes, medians of nine rounds of each side; the first of each warms up. */
export async function alternate(
  { quick }: BenchOptions,
  times: number,
  ours: Work,
  baseline: Work,
): Promise<Medians> {
  const rounds = quick ? 1 : 9;
  const count = quick ? Math.ceil(times / 20) : times;
  const ourFigures: number[] = [];
  const baseFigures: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const one = await nsOf(ours, count);
    const other = await nsOf(baseline, count);
    if (round > 0) {
      ourFigures.push(one);
      baseFigures.push(other);
    }
  }
  return { value: medianOf(ourFigures), baseline: medianOf(baseFigures) };
}

async function nsOf(work: Work, times: number): Promise<number> {
  const startMs = performance.now();
  await work(times);
  return ((performance.now() - startMs) * 1e6) / times;
}

/** Judged by how many times better than the baseline it is. */
export function resultOf(
  name: string,
  unit: string,
  value: number,
  baselineName: string,
  baseline: number,
  bar: Bar,
): BenchResult {
  const ratio = baseline / value;
  return {
    name,
    unit,
    value: rounded(value),
    baseline: { name: baselineName, value: rounded(baseline) },
    ratio: rounded(ratio),
    bar,
    ok: meets(bar, value, ratio),
  };
}
