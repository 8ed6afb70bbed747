/**
 * Scenario: what `peerbuf run` is asked to do, as a checked value.
 *
 * The schema is the format's definition; `docs/scenario.md` shows it by example. A file describes one
 * machine in its own fields, or several under `machines`; here they are always a list.
 *
 * Not here: a machine (`machine-plan.ts`), a transfer (`transfer-plan.ts`).
 */
import { z } from "zod";
import { section } from "./fields.ts";
import { devicesShape, type MachinePlan, machineFields } from "./machine-plan.ts";
import { type TransferPlan, transferShape } from "./transfer-plan.ts";

/** Most transfers in one scenario. */
export const TRANSFERS_MAX = 256;
/** Most machines in one scenario. */
export const MACHINES_MAX = 8;

export interface Scenario {
  /** By name; the only one of a scenario without `machines` is called "". */
  readonly machines: Readonly<Record<string, MachinePlan>>;
  readonly transfers: readonly TransferPlan[];
}

const machineName = z.string().regex(/^[A-Za-z][\w-]{0,31}$/, {
  error: "expected a machine's name: a letter, then letters, digits, - and _",
});

const transfers = z
  .array(transferShape)
  .min(1, "expected at least one transfer")
  .max(TRANSFERS_MAX, `expected at most ${TRANSFERS_MAX} transfers`);

const oneMachine = section({ ...machineFields, devices: devicesShape, transfers });

const severalMachines = section({
  machines: z
    .record(machineName, section({ ...machineFields, devices: devicesShape }))
    .refine((machines) => Object.keys(machines).length > 0, "expected at least one machine")
    .refine(
      (machines) => Object.keys(machines).length <= MACHINES_MAX,
      `expected at most ${MACHINES_MAX} machines`,
    ),
  transfers,
});

/** The scenario that a file's value describes, or what is wrong with it. */
export type ParsedScenario =
  | { readonly scenario: Scenario }
  | { readonly issues: readonly z.core.$ZodIssue[] };

export function parseScenario(value: unknown): ParsedScenario {
  if (typeof value === "object" && value !== null && "machines" in value) {
    const several = severalMachines.safeParse(value);
    return several.success ? { scenario: several.data } : { issues: several.error.issues };
  }
  const one = oneMachine.safeParse(value);
  if (!one.success) {
    return { issues: one.error.issues };
  }
  const { transfers: plans, ...machine } = one.data;
  return { scenario: { machines: { "": machine }, transfers: plans } };
}
