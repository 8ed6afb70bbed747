/**
 * Fault rule: which fault, where, and how often.
 *
 * A rule that the bus does not allow is refused: PCI Express delivers a posted write exactly once (the
 * data link layer retries and drops repeats; base specification 5.0, 3.6), lets nothing pass an earlier
 * posted write unless the one that passes has Relaxed Ordering (2.4.1, table 2-40), and a message signalled
 * interrupt is such a write.
 */
import { InputError } from "@peerbuf/core";

/**
 * - `drop`: a read times out and brings ones; a write or an interrupt vanishes;
 * - `delay`: a write or an interrupt arrives `delayNs` later, and everything posted behind it waits too;
 *   a read of the same device pushes it ahead, as on the bus;
 * - `duplicate`: a read of memory is repeated, an interrupt comes twice;
 * - `reorder`: the next write with Relaxed Ordering overtakes this one;
 * - `corrupt`: one byte arrives changed;
 * - `iommu-fault`: the request is stopped as if the IOMMU had no translation for it;
 * - `device-lost`: the card is gone from the bus from here on, with all its functions;
 * - `engine-stall`: the device does not get on with its work from here on;
 * - `fence-stuck`: its interrupts stay away from here on, so no driver hears of finished work;
 * - `refuse-memory`, `refuse-coherent`, `refuse-mapping`: no host memory, no coherent memory, no DMA addresses
 *   (ENOMEM) for the device's driver.
 */
export type FaultKind = (typeof FAULT_KINDS)[number];

export const FAULT_KINDS = [
  "drop",
  "delay",
  "duplicate",
  "reorder",
  "corrupt",
  "iommu-fault",
  "device-lost",
  "engine-stall",
  "fence-stuck",
  "refuse-memory",
  "refuse-coherent",
  "refuse-mapping",
] as const;

/** What a device does on its link, or its driver on the platform. */
export type OccasionKind = "read" | "write" | "interrupt" | "event" | "memory" | "coherent" | "map";

export interface FaultRule {
  readonly fault: FaultKind;
  /** What it is called in records; `rule N` by its number unless told. */
  readonly name?: string;
  /** BDF of the function whose requests it is about; every function unless told. */
  readonly device?: string;
  /** Only such requests; all that the fault can hit unless told. */
  readonly kind?: "read" | "write" | "interrupt";
  /** Only requests that touch bus addresses of this range. */
  readonly address?: { readonly from: number; readonly until: number };
  /** Only requests that would arrive in a BAR of this function, or in `ram`. */
  readonly target?: string;
  /** The first time that it can happen, of those that fit; 1 unless told. */
  readonly nth?: number;
  /** How often at most; once unless told, `Infinity` for always. */
  readonly times?: number;
  /** Whether it happens is asked of the choice source each time, with this probability of a yes. */
  readonly probability?: number;
  /** For `delay`; how long a write may be held for `reorder`. 1,000 unless told. */
  readonly delayNs?: number;
}

/** What each fault can hit. */
const HITS: Readonly<Record<FaultKind, readonly OccasionKind[]>> = {
  drop: ["read", "write", "interrupt"],
  delay: ["write", "interrupt"],
  duplicate: ["read", "interrupt"],
  reorder: ["write"],
  corrupt: ["read", "write"],
  "iommu-fault": ["read", "write"],
  "device-lost": ["read", "write", "interrupt"],
  "engine-stall": ["event"],
  "fence-stuck": ["interrupt"],
  "refuse-memory": ["memory"],
  "refuse-coherent": ["coherent"],
  "refuse-mapping": ["map"],
};

/** Once begun, these stay until they are taken out. */
const LASTS: readonly FaultKind[] = ["device-lost", "engine-stall", "fence-stuck"];

export const DELAY_NS_DEFAULT = 1_000;

/** A rule that was checked. */
export interface CheckedRule extends FaultRule {
  readonly hits: readonly OccasionKind[];
  readonly nth: number;
  readonly times: number;
  readonly delayNs: number;
  readonly lasts: boolean;
}

/** `InputError` for a rule that means nothing, or that the bus does not allow. */
export function checkedRule(rule: FaultRule): CheckedRule {
  const { fault, nth = 1, times = 1, delayNs = DELAY_NS_DEFAULT, probability, address } = rule;
  if (!FAULT_KINDS.includes(fault)) {
    throw problem(rule, `there is no fault "${fault}"`, `Choose one of ${FAULT_KINDS.join(", ")}`);
  }
  const hits = HITS[fault].filter((kind) => rule.kind === undefined || kind === rule.kind);
  if (hits.length === 0) {
    throw problem(
      rule,
      `${fault} does not happen to ${rule.kind}s: ${WHY_NOT[fault]}`,
      "Name another kind",
    );
  }
  if (!(Number.isInteger(nth) && nth >= 1 && times >= 1 && delayNs >= 0)) {
    const cause = `nth ${nth}, times ${times} and delayNs ${delayNs} are not all in their ranges`;
    throw problem(rule, cause, "nth and times count from 1, delayNs from 0");
  }
  if (probability !== undefined && !(probability >= 0 && probability <= 1)) {
    throw problem(rule, `${probability} is no probability`, "Name one from 0 to 1");
  }
  if (address !== undefined && !(address.from >= 0 && address.from < address.until)) {
    throw problem(
      rule,
      "the address range is empty",
      "Name from and until, the byte behind the last",
    );
  }
  return { ...rule, hits, nth, times, delayNs, lasts: LASTS.includes(fault) };
}

const WHY_NOT: Readonly<Record<FaultKind, string>> = {
  drop: "it hits reads, writes and interrupts",
  delay: "reads are answered in one step here",
  duplicate: "the bus delivers a posted write exactly once",
  reorder: "only posted writes may be passed, and only with Relaxed Ordering",
  corrupt: "it hits reads and writes",
  "iommu-fault": "it hits reads and writes",
  "device-lost": "it hits reads, writes and interrupts",
  "engine-stall": "it is about the device, not its requests",
  "fence-stuck": "it is about interrupts",
  "refuse-memory": "it is about the driver, not the device's requests",
  "refuse-coherent": "it is about the driver, not the device's requests",
  "refuse-mapping": "it is about the driver, not the device's requests",
};

function problem({ fault }: FaultRule, cause: string, remedy: string): InputError {
  return new InputError({ source: `fault rule ${fault}`, cause, remedy });
}
