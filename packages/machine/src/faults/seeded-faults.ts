/**
 * Seeded faults: rules from a seed, for runs that look for trouble nobody thought of.
 *
 * The same seed gives the same rules. They are ordinary rules: print them, and one of them alone replays
 * what it did.
 */
import { InputError } from "@peerbuf/core";
import { Random } from "../random.ts";
import { FAULT_KINDS, type FaultKind, type FaultRule } from "./fault-rule.ts";

export interface SeededFaultOptions {
  /** BDFs of the functions to hurt; at least one. */
  readonly devices: readonly string[];
  /** How many rules; 1 unless told. */
  readonly count?: number;
  /** Of these kinds; of all unless told. */
  readonly faults?: readonly FaultKind[];
  /** Each strikes at the first to this occasion that fits; 64 unless told. */
  readonly nthMax?: number;
}

const NTH_MAX_DEFAULT = 64;
const DELAY_NS_MAX = 100_000;

/** `InputError` for options that leave nothing to choose from. */
export function seededFaults(seed: number, options: SeededFaultOptions): FaultRule[] {
  const { devices, count = 1, faults = FAULT_KINDS, nthMax = NTH_MAX_DEFAULT } = options;
  if (devices.length === 0 || faults.length === 0 || !(nthMax >= 1)) {
    throw new InputError({
      source: `faults of seed ${seed}`,
      cause: "there is no device, no fault or no occasion to choose from",
      remedy: "Name at least one of each",
    });
  }
  const random = new Random(seed);
  const oneOf = <T>(list: readonly T[]): T => list[random.below(list.length)] as T;
  return Array.from({ length: count }, () => ({
    fault: oneOf(faults),
    device: oneOf(devices),
    nth: 1 + random.below(nthMax),
    delayNs: 1 + random.below(DELAY_NS_MAX),
  }));
}
