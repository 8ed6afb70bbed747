/**
 * Bench: one of the project's own measurements, and how its result is judged.
 *
 * A bar is what the project promises (`docs/performance.md`): on the ratio to a baseline that was
 * measured in the same run, or on the value itself.
 */
export interface BenchOptions {
  /** Short rounds, to see that it works; the figures mean little. */
  readonly quick: boolean;
}

export interface Bench {
  readonly name: string;
  run(options: BenchOptions): BenchResult | Promise<BenchResult>;
}

export interface BenchResult {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly baseline?: { readonly name: string; readonly value: number };
  /** How many times better than the baseline; for copies the part of its bandwidth. */
  readonly ratio?: number;
  readonly bar?: Bar;
  readonly ok: boolean;
}

/** As it is shown: `>= 10`, `<= 2000`. */
export type Bar = { readonly ratio: string } | { readonly value: string };

/** Is the bar met? */
export function meets(bar: Bar, value: number, ratio: number | undefined): boolean {
  const [text, figure] = "ratio" in bar ? [bar.ratio, ratio] : [bar.value, value];
  const [sign, limit] = text.split(" ");
  if (figure === undefined || Number.isNaN(Number(limit))) {
    return false;
  }
  return sign === ">=" ? figure >= Number(limit) : figure <= Number(limit);
}

/** Three significant digits say all that a measurement knows. */
export const rounded = (figure: number): number => Number(figure.toPrecision(3));
