/**
 * Fault plan: one fault that a scenario puts into one of its machines.
 *
 * The machine knows what each fault means and which the bus does not allow; here is only how a file
 * writes it.
 */
import { FAULT_KINDS, type FaultKind } from "@peerbuf/machine";
import { z } from "zod";
import { deviceName, section } from "./fields.ts";

export interface FaultPlan {
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

const address = z.int().min(0);

export const faultShape: z.ZodType<FaultPlan> = section({
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
