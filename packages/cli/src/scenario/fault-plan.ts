/**
 * Fault plan: one fault that a scenario puts into one of its machines.
 *
 * The machine knows what each fault means and which the bus does not allow; here is only how a file
 * writes it.
 */
import { FAULT_KINDS, type FaultKind } from "@peerbuf/machine";
import { z } from "zod";
import { deviceName, section, seed } from "./fields.ts";

/** Rules from a seed. */
export interface SeededFaultsPlan {
  readonly seed: number;
  readonly devices: readonly string[];
  readonly count?: number | undefined;
  readonly faults?: readonly FaultKind[] | undefined;
  readonly nthMax?: number | undefined;
  readonly during?: string | undefined;
}

/** One rule. */
export interface FaultRulePlan {
  readonly fault: FaultKind;
  /** Only while this transfer runs; all the time unless told. */
  readonly during?: string | undefined;
  readonly device?: string | undefined;
  readonly kind?: "read" | "write" | "interrupt" | undefined;
  readonly address?: { readonly from: number; readonly until: number } | undefined;
  /** A function, or `ram`. */
  readonly target?: string | undefined;
  readonly nth?: number | undefined;
  readonly times?: number | "always" | undefined;
  readonly probability?: number | undefined;
  readonly delayNs?: number | undefined;
}

export type FaultPlan = FaultRulePlan | SeededFaultsPlan;

const address = z.int().min(0);

const rule = section({
  fault: z.enum(FAULT_KINDS),
  during: z.string().min(1).optional(),
  device: deviceName.optional(),
  kind: z.enum(["read", "write", "interrupt"]).optional(),
  address: section({ from: address, until: address }).optional(),
  target: deviceName.optional(),
  nth: z.int().min(1).optional(),
  times: z.union([z.int().min(1), z.literal("always")]).optional(),
  probability: z.number().min(0).max(1).optional(),
  delayNs: z.number().min(0).optional(),
});

/** Most rules of one seed. */
const SEEDED_MAX = 64;

const seeded = section({
  seed,
  devices: z.array(deviceName).min(1),
  count: z.int().min(1).max(SEEDED_MAX).optional(),
  faults: z.array(z.enum(FAULT_KINDS)).min(1).optional(),
  nthMax: z.int().min(1).optional(),
  during: z.string().min(1).optional(),
});

/** Told apart by the field that only one of them has, so that a mistake is told of the right one. */
export const faultShape: z.ZodType<FaultPlan> = z.unknown().transform((value, context) => {
  const isSeeded = typeof value === "object" && value !== null && "seed" in value;
  const parsed = (isSeeded ? seeded : rule).safeParse(value);
  if (parsed.success) {
    return parsed.data;
  }
  for (const issue of parsed.error.issues) {
    context.addIssue({ ...issue } as Parameters<typeof context.addIssue>[0]);
  }
  return z.NEVER;
});
