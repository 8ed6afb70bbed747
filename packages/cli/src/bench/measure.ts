/**
 * Measure: two sides of a comparison, in alternating rounds of one process.
 *
 * Alternating, because a machine that gets slower or faster meanwhile then does so for both; medians,
 * because a round that was disturbed says nothing.
 */

/** One round: does its work and returns the figure, in the bench's unit. */
export type Round = () => number;

export interface Medians {
  readonly value: number;
  readonly baseline: number;
}

/** The first round of each side warms up and does not count. */
export function measure(rounds: number, ours: Round, baseline: Round): Medians {
  const ourFigures: number[] = [];
  const baseFigures: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const one = ours();
    const other = baseline();
    if (round > 0) {
      ourFigures.push(one);
      baseFigures.push(other);
    }
  }
  return { value: medianOf(ourFigures), baseline: medianOf(baseFigures) };
}

/** Nanoseconds that `work` takes. */
export function elapsedNs(work: () => void): number {
  const startMs = performance.now();
  work();
  return (performance.now() - startMs) * 1e6;
}

/** The one in the middle, or between the two in the middle. */
export function medianOf(figures: readonly number[]): number {
  const sorted = [...figures].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
