/**
 * BAR choice: which of a captured function's BARs carries what.
 *
 * A capture decides how many memory BARs a function has and how large they are; a model has to fit
 * in. Drivers on the other side choose by the same rules, stated where each model connects.
 */
import { InputError } from "@peerbuf/core";
import type { BarShape } from "../device-model.ts";

/** The BAR, or an `InputError` that says what the model needs and what the function has. */
export function requireBar(
  found: BarShape | undefined,
  bdf: string,
  model: string,
  need: string,
  bars: readonly BarShape[],
): BarShape {
  if (found !== undefined) {
    return found;
  }
  const has = bars.map((bar) => `BAR${bar.index} of ${bar.sizeBytes} bytes`).join(", ");
  throw new InputError({
    source: bdf,
    cause: `the ${model} model needs ${need}, this function has ${has === "" ? "no memory BAR" : has}`,
    remedy: `Place the ${model} model on another function`,
  });
}
